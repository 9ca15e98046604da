/** `fleet rehearse`: a program of the operator's own machine, as `fleet hosts add` is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STOPPED_WATCHING } from '@fleet/cli/cli.ts';
import type { Client } from '@fleet/cli/client.ts';
import { type Channel, openChannel } from '@fleet/cli/print/channel.ts';
import { formatDuration, formatMoment } from '@fleet/cli/print/duration.ts';
import { encodeJson, indent, oneLine } from '@fleet/cli/print/escape.ts';
import { layOut } from '@fleet/cli/print/table.ts';
import { reachController } from '@fleet/cli/reach.ts';
import type { RehearsalReport } from '@fleet/protocol/api/rehearsals.ts';
import { asFleetError, type FleetError } from '@fleet/protocol/errors.ts';
import { hostName } from '@fleet/protocol/words.ts';
import { Course, type Told } from './course.ts';
import { differences } from './differences.ts';
import { type Flags, HELP, readFlags, wordsOf, wrongUse } from './flags.ts';
import { rehearse } from './rehearse.ts';
import { schedule } from './schedule.ts';

/** Sets process.exitCode. Throws `bad_request`, and what the controller says before anything is borrowed. */
export async function main(argv: string[]): Promise<void> {
  const flags = readFlags(argv);
  if (flags.help) {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  if (flags.nightly !== undefined) return schedule(flags);
  const since = performance.now();
  const channel = openChannel(flags.json ? process.stderr : process.stdout, process.env);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const client = clientFor(flags, stop.signal);
  const lasting = clientFor(flags, new AbortController().signal);
  // Before anything is borrowed.
  if (!client.controller.startsWith('https:'))
    throw wrongUse(`no machine can join at ${client.controller}: it is plain, for development alone`);
  const { profile } = flags;
  const name = nameFor(profile, new Date());
  await client.call('profiles.show', { params: { profile } });
  const before = await lastOf(client, profile);
  const { id } = await client.call('rehearsals.begin', { body: { profile, host: name } });
  const course = new Course(tellingOf(channel));
  const dir = mkdtempSync(join(tmpdir(), 'fleet-rehearse-'));
  try {
    const report = await rehearse({
      ...{ profile, name, course, channel, dir, client, lasting },
      lender: { command: flags.on, name, tell: (line) => channel.print(`    | ${oneLine(line)}`) },
      words: wordsOf(flags),
      upMs: flags.upMs,
      stopped: stop.signal,
    });
    const kept = await keep(lasting, id, report, channel);
    const changes = before === undefined ? [] : differences(before.report, report);
    print(channel, {
      flags,
      id,
      report,
      before,
      changes,
      failure: course.failure,
      ms: performance.now() - since,
    });
    if (flags.json)
      process.stdout.write(`${encodeJson({ id, profile, host: name, ...report, differences: changes })}\n`);
    process.exitCode = stop.signal.aborted ? STOPPED_WATCHING : report.succeeded && kept ? 0 : 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function clientFor({ controller, json }: Flags, stopped: AbortSignal): Client {
  return reachController({ environment: process.env, stopped }, { ...(controller && { controller }), json });
}

/** Like rehearsal-web-20261121030005. */
function nameFor(profile: string, at: Date): string {
  const stamp = at.toISOString().replace(/\D/g, '').slice(0, 14);
  const name = hostName.safeParse(`rehearsal-${profile.slice(0, 30).replace(/[^a-z0-9]+$/, '')}-${stamp}`);
  if (name.success) return name.data;
  throw wrongUse(`${profile}: a profile is named like web`);
}

interface Before {
  id: number;
  endedAt: string;
  report: RehearsalReport;
}

/** The newest one that has ended, well where there is such a one: what is compared with should be complete. */
async function lastOf(client: Client, profile: string): Promise<Before | undefined> {
  const ended = (await client.call('rehearsals.list', { query: { profile, limit: 50 } })).filter(
    ({ endedAt }) => endedAt !== null,
  );
  const newest = ended.find(({ succeeded }) => succeeded === true) ?? ended[0];
  if (newest === undefined) return undefined;
  const { id, endedAt, report } = await client.call('rehearsals.show', { params: { id: newest.id } });
  return report === null || endedAt === null ? undefined : { id, endedAt, report };
}

async function keep(client: Client, id: number, report: RehearsalReport, channel: Channel): Promise<boolean> {
  try {
    await client.call('rehearsals.end', { params: { id }, body: report });
    return true;
  } catch (thrown) {
    channel.print(`its report was not kept: ${asFleetError(thrown).message}`);
    return false;
  }
}

function tellingOf(channel: Channel): Told {
  const { colors } = channel;
  return {
    began: (name) => channel.print(colors.bold(name)),
    ended({ name, outcome, ms, message }, error) {
      if (error === undefined) return channel.update('');
      channel.print(`${colors.red(outcome)} ${name} after ${formatDuration(ms)}: ${oneLine(message ?? '')}`);
      if (typeof error.data.output === 'string' && name !== 'up' && name !== 'down')
        for (const line of indent(error.data.output, '    | ')) channel.print(line);
      if (error.next !== undefined) channel.print(`next: ${oneLine(error.next)}`);
    },
  };
}

interface Printed {
  flags: Flags;
  id: number;
  report: RehearsalReport;
  before: Before | undefined;
  changes: readonly string[];
  failure: FleetError | undefined;
  ms: number;
}

function print(channel: Channel, { flags, id, report, before, changes, failure, ms }: Printed): void {
  const { colors } = channel;
  channel.print('');
  if (before !== undefined) {
    const since = `rehearsal ${before.id}, ${formatMoment(before.endedAt)}`;
    channel.print(changes.length === 0 ? `nothing differs from ${since}` : `what differs from ${since}:`);
    for (const each of changes) channel.print(`  ${oneLine(each)}`);
  }
  if (failure !== undefined)
    channel.print(
      `next: ${oneLine(failure.next ?? `fleet rehearsals ${id}`)}; then fleet rehearse ${flags.profile} again`,
    );
  const how = report.succeeded ? colors.green('succeeded') : colors.red('failed');
  channel.print(colors.bold(`RECAP rehearsal ${id} of ${flags.profile}, ${formatDuration(ms)}: `) + how);
  const rows = report.phases.map(({ name, outcome, ms }) => [
    `  ${name}`,
    outcome,
    outcome === 'skipped' ? '' : formatDuration(ms),
  ]);
  for (const line of layOut(rows)) channel.print(line);
}
