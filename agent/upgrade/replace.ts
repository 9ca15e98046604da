/**
 * `restart` of fleet's own programs: the agent ends, and systemd starts what is current. The command outlives it in the journal, so
 * it is answered, truly, by the agent that comes: by the new release that it is done, by the former one that it came back.
 */
import { bootId } from '@fleet/process/proc.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply } from '@fleet/protocol/messages/methods.ts';
import { OWN, type OwnService } from '@fleet/protocol/words.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import { homeOf, readCurrent } from '../releases/layout.ts';
import type { Failed } from './notes.ts';
import type { Own } from './own.ts';
import type { Versions } from './versions.ts';

interface Left {
  /** Who left. */
  life: string;
  /** Wall time in milliseconds. */
  at: number;
}

/** Throws `stopping` where it has begun, `not_by_unit`, and `start_failed` where the former release is back. */
export async function replaceOwn(
  host: Host,
  service: OwnService,
  version: string,
  entry: Entry,
): Promise<Reply<AgentMethods, 'step.restart'>> {
  const { own } = host;
  if (own.versions[service] === version) {
    // Null where nobody had to leave for it.
    const left = await entry.part<Left | null>('leave', { repeatable: true }, async () => null);
    return done(own, service, left && host.now() - left.at);
  }
  requireUnit(host);
  const wanted: Versions = { ...own.versions, [service]: version };
  const left = await entry.part<Left>('leave', { repeatable: true }, async () => {
    await requireCurrent(host, service, wanted);
    await own.test(wanted);
    await own.notes.forget();
    return { life: own.life, at: host.now() };
  });
  if (left.life !== own.life) throw await cameBack(host, service, wanted, left.at);
  own.leave();
  throw new FleetError('stopping', `the agent ends, to be started anew with ${service} ${version}`);
}

/** It refuses before anything is received: nothing has changed then. Throws `not_by_unit`. */
export function requireUnit({ own, name }: Pick<Host, 'own' | 'name'>): void {
  if (own.systemd !== undefined && Object.values(own.versions).every((version) => version !== null)) return;
  throw new FleetError(
    'not_by_unit',
    `the agent of ${name} was not started by its unit, from a release: nothing would start another one in its place`,
    { next: `install it as fleet does: fleet hosts add; or replace it by hand on ${name}` },
  );
}

/** `ms`: from its predecessor's leave. */
function done(
  { versions }: Own,
  service: OwnService,
  ms: number | null,
): Reply<AgentMethods, 'step.restart'> {
  const text = `${service} ${versions[service]} runs\n`;
  // Clocks may be set in between.
  return { changed: ms !== null, output: { text, dropped: 0 }, stopMs: 0, startMs: Math.max(0, ms ?? 0) };
}

async function requireCurrent(host: Host, service: OwnService, wanted: Versions): Promise<void> {
  const { root, disk, own } = host;
  const version = wanted[service];
  const current = await readCurrent(homeOf(root, service, disk));
  if (current === version) return;
  // Whoever switched did not come to this: the host was started anew, the release tried, and taken back.
  if ((await own.notes.failed(wanted)) !== undefined) throw await cameBack(host, service, wanted, 0);
  throw new FleetError(
    'no_release',
    `current names ${current ?? 'nothing'}, so ${version} would not be started`,
    {
      next: 'fleet agents upgrade activates it before it is started',
    },
  );
}

/** `since`: wall time in milliseconds. */
async function cameBack({ own, name }: Host, service: OwnService, wanted: Versions, since: number) {
  const former = own.versions[service] ?? 'the former one';
  const output = await own.systemd?.printed(since);
  return new FleetError(
    'start_failed',
    `${service} ${wanted[service]} ${await whatBecame(own, await own.notes.failed(wanted))}; ${former} is back`,
    { next: `fleet logs ${OWN.agent} --host ${name}`, data: { output } },
  );
}

async function whatBecame({ systemd }: Own, failed: Failed | undefined): Promise<string> {
  if (failed === undefined) return 'was not started';
  const { result, boot } = failed;
  if (result === undefined)
    return boot === bootId()
      ? 'ended before the controller had answered it'
      : 'was interrupted: its host was started anew before the controller had answered it';
  const [how = '', , status = ''] = result.split(' ');
  if (how === 'timeout')
    return `did not reach the controller in ${(await systemd?.startLimit()) ?? 'its time'}`;
  if (how === 'exit-code') return `ended with exit status ${status} before the controller had answered it`;
  if (how === 'signal' || how === 'core-dump')
    return `was ended by SIG${status} before the controller had answered it`;
  return `ended before the controller had answered it (${result})`;
}
