/** One rehearsal: a machine is borrowed, made a host from nothing, deployed to, looked at, taken off the fleet and given back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@fleet/cli/client.ts';
import { follow } from '@fleet/cli/follow.ts';
import type { Channel } from '@fleet/cli/print/channel.ts';
import { printEnding } from '@fleet/cli/print/ending.ts';
import { createNarrator } from '@fleet/cli/print/steps.ts';
import type { Examined, ServiceFacts } from '@fleet/protocol/api/doctor.ts';
import type { RehearsalReport } from '@fleet/protocol/api/rehearsals.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { REHEARSAL } from '../config/config.ts';
import { adding } from '../provision/adding.ts';
import { readFlags as readAddFlags } from '../provision/flags.ts';
import { openOperator } from '../provision/operator.ts';
import { emptyReport, sayingOf } from '../provision/tell.ts';
import { type Borrowed, borrow, giveBack, type Lender } from './borrow.ts';
import type { Course } from './course.ts';

export interface Rehearsal {
  profile: string;
  /** The host's name, which is also what the machine is asked for by. */
  name: string;
  lender: Lender;
  /** Words of `fleet hosts add` that were given: --key FILE, --hooks, --url. */
  words: readonly string[];
  /** Milliseconds for a machine to be lent. */
  upMs: number;
  /** Ends with `stopped`; and one that does not, for giving everything back. */
  client: Client;
  lasting: Client;
  course: Course;
  channel: Channel;
  stopped: AbortSignal;
  /** A folder that is removed afterwards. */
  dir: string;
}

const DOWN_MS = 10 * 60_000;
/** Somebody else may be deploying. */
const TURN_MS = 30 * 60_000;
const TRY_MS = 2000;
const ABORT_MS = 60_000;

export async function rehearse(rehearsal: Rehearsal): Promise<RehearsalReport> {
  const { course, lender, stopped } = rehearsal;
  const report: Pick<RehearsalReport, 'facts' | 'findings' | 'services'> = {
    facts: null,
    findings: [],
    services: [],
  };
  const borrowed = await course.phase('up', () => borrow(lender, rehearsal.upMs, stopped));
  await course.phase('provision', () => provision(rehearsal, borrowed!));
  if (borrowed !== undefined && course.failure === undefined) await deployAll(rehearsal, report);
  await course.phase('look', () => look(rehearsal, report));
  if (borrowed !== undefined) await course.always('remove', () => remove(rehearsal));
  // Also where `up` has failed: it may have come half the way.
  await course.always('down', () => giveBack(lender, DOWN_MS));
  return { succeeded: course.failure === undefined, phases: course.phases, ...report };
}

async function provision(rehearsal: Rehearsal, borrowed: Borrowed): Promise<void> {
  const { profile, name, channel, stopped, dir, words } = rehearsal;
  const { address, port, user, keyFile, known, fingerprint } = borrowed;
  const knownHosts = join(dir, 'known_hosts');
  writeFileSync(knownHosts, known === undefined ? '' : `${known}\n`);
  const flags = readAddFlags('add', [
    ...['-p', profile, `${name}=${address}`, '--known-hosts', knownHosts, '--port', String(port)],
    ...(user === undefined ? [] : ['--user', user]),
    ...(fingerprint === undefined ? [] : ['--fingerprint', `${name}=${fingerprint}`]),
    ...words,
    ...(keyFile === undefined ? [] : ['--key', keyFile]),
  ]);
  const operator = await openOperator(flags, channel, stopped);
  // By this label nothing else of the fleet touches it, and no balancer is told of it.
  const work = await adding(flags, operator, dir, { [REHEARSAL]: name });
  const [named] = flags.hosts;
  const report = emptyReport(named!);
  await work.each(named!, report, sayingOf(channel, report, name.length));
  if (report.failure !== undefined) throw report.failure;
}

async function deployAll(rehearsal: Rehearsal, report: Pick<RehearsalReport, 'services'>): Promise<void> {
  const { course, name } = rehearsal;
  const wanted = await course.phase('ask what it is for', () => examine(rehearsal, false));
  for (const place of wanted?.services ?? [])
    await course.phase(`deploy ${place.service}`, async () => {
      const version = place.wanted ?? (await newestOf(rehearsal, place));
      const { service, environment } = place;
      const kept = { service, environment, version, deployment: null as number | null, succeeded: false };
      report.services.push(kept);
      kept.deployment = await begin(rehearsal, { service, environment, version, hosts: [name] });
      await watch(rehearsal, kept.deployment);
      kept.succeeded = true;
    });
}

/** Where nobody says what the environment is on: it may have no host yet. */
async function newestOf({ client }: Rehearsal, { service, environment }: ServiceFacts): Promise<string> {
  const [newest] = await client.call('releases.list', { query: { service } });
  if (newest !== undefined) return newest.version;
  throw new FleetError(
    'unknown_version',
    `${service} is on no version in ${environment}, and none was built`,
    {
      next: `fleet build ${service}`,
    },
  );
}

type Wish = { service: string; environment: string; version: string; hosts: string[] };

/** Waits for its turn where somebody else deploys. */
async function begin({ client, name, channel, stopped }: Rehearsal, wish: Wish): Promise<number> {
  const end = performance.now() + TURN_MS;
  for (;;) {
    try {
      const body = { ...wish, skipChecks: [], why: `rehearsal ${name}` };
      return (await client.call('deployments.start', { body })).id;
    } catch (thrown) {
      const { code, message } = asFleetError(thrown);
      if (code !== 'locked' || performance.now() > end) throw thrown;
      channel.update(`waits: ${message}`);
      await sleep(TRY_MS, undefined, { signal: stopped });
    }
  }
}

/** Throws how it failed, in its recap's words. */
async function watch({ client, lasting, channel, stopped }: Rehearsal, id: number): Promise<void> {
  const narrator = createNarrator(channel, id);
  const onSilence = () => channel.print('controller not answering, trying again');
  try {
    for await (const event of follow(client, `deployment/${id}`, { signal: stopped, onSilence })) {
      narrator.tell(event);
      if (event.type !== 'deployment.ended') continue;
      const { recap } = event;
      if (recap.exit === 0) return;
      printEnding(channel, recap, { wayBack: false, wasShown: narrator.hasShown });
      throw new FleetError(
        'rehearsal_failed',
        `deployment ${id} ${recap.state}: ${recap.failure?.message ?? ''}`,
        {
          next: `fleet recap ${id}`,
        },
      );
    }
  } catch (error) {
    // It would go on while its host is taken from under it.
    if (stopped.aborted) await endDeployment(lasting, id);
    throw error;
  }
}

async function endDeployment(client: Client, id: number): Promise<void> {
  await client.call('deployments.abort', { params: { id }, body: {} }).catch(() => {});
  const end = performance.now() + ABORT_MS;
  while (performance.now() < end) {
    const shown = await client.call('deployments.show', { params: { id } }).catch(() => undefined);
    if (shown?.deployment.endedAt != null) return;
    await sleep(TRY_MS);
  }
}

function examine({ client, name }: Rehearsal, packages: boolean): Promise<Examined> {
  return client.call('hosts.examine', { params: { host: name }, query: { packages: String(packages) } });
}

/** What is bad with a host that was made a moment ago is bad with the profile. */
async function look(
  rehearsal: Rehearsal,
  report: Pick<RehearsalReport, 'facts' | 'findings'>,
): Promise<void> {
  const { facts, findings } = await examine(rehearsal, true);
  report.facts = facts;
  report.findings = findings.filter(({ level }) => level !== 'ok');
  const bad = findings.filter(({ level }) => level === 'bad');
  if (bad.length === 0) return;
  throw new FleetError(
    'rehearsal_failed',
    `something is bad with it: ${bad.map(({ about, says }) => `${about}: ${says}`).join('; ')}`,
    { next: bad[0]?.next ?? undefined },
  );
}

/** Off the fleet, as far as it came into it. */
async function remove({ lasting, name }: Rehearsal): Promise<void> {
  const unlessUnknown = (thrown: unknown) => {
    if (asFleetError(thrown).code !== 'unknown_host') throw thrown;
  };
  await lasting
    .call('hosts.remove', { params: { host: name }, body: { why: 'its rehearsal has ended' } })
    .catch(unlessUnknown);
  const joined = await lasting.call('identities.list', {});
  // It has joined, and never connected.
  if (joined.some(({ host, state }) => host === name && (state === 'active' || state === 'waiting')))
    await lasting.call('hosts.forget', { params: { host: name } }).catch(unlessUnknown);
}
