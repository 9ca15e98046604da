/**
 * What an environment is on, and whether one host of it is there: pure, from what was deployed last and what holds now. Where nobody
 * knows what the environment is on it is not guessed.
 */

import type { Strategy } from '@fleet/config/controller.ts';
import type { PassedBy } from '@fleet/protocol/api/recap.ts';

/** The newest deployment or rollback of the environment that was planned and has ended. */
export interface Last {
  id: number;
  service: string;
  environment: string;
  version: string;
  succeeded: boolean;
  startedAt: string;
  endedAt: string;
  onFailure: Strategy['on_failure'];
  skipChecks: readonly string[];
  /** The hosts that it went to; `lost` did not answer to its end. */
  hosts: ReadonlyMap<string, { lost: boolean }>;
  passedBy: ReadonlyMap<string, PassedBy['reason']>;
}

/** One host of the environment as it is now. */
export interface Member {
  host: string;
  isOut: boolean;
  connected: boolean;
  /** By its agent's own report, else what it said last. */
  current: string | null;
  /** What was verified on it last, by which deployment; null where that was left, or never was. */
  verified: { version: string; deployment: number } | null;
  /** Why fleet keeps it hidden; null where it does not. */
  hidden: string | null;
  /** The balancer does not have it. */
  absent: boolean;
  /** When its agent first said hello from this boot, as this program. */
  since: string;
  letIn: string | null;
  /** What was tried since the last deployment to bring it there, oldest first. */
  tries: ReadonlyArray<{
    id: number;
    startedAt: string;
    endedAt: string;
    end: 'well' | 'failed' | 'not begun';
  }>;
}

export interface Due {
  is: 'due';
  wanted: string | null;
  version: string;
  why: string;
  skipChecks: readonly string[];
}
export type Verdict =
  | { is: 'well'; wanted: string | null }
  | Due
  /** `away`: it is not there, and has another version: it may come back with that one. */
  | { is: 'behind'; wanted: string | null; why: string; next: string; away?: boolean };

/** How often it is tried again where it could not even begin, or the host was lost; the time between doubles. */
const TRIES = 6;
const FIRST_PAUSE_MS = 60_000;

/** `now`: milliseconds since 1970. */
export function judge(last: Last | undefined, all: readonly Member[], host: string, now: number): Verdict {
  const me = all.find((each) => each.host === host);
  // Nothing was ever deployed, or people have taken it out.
  if (last === undefined || me === undefined || me.isOut) return { is: 'well', wanted: null };
  const seen = environmentVersion(last, all, host);
  const wanted = 'version' in seen ? seen.version : null;
  const target = targetOf(last, me, seen);
  const wrong = whatIsWrong(me, target?.version ?? null);
  if (wrong === null) return { is: 'well', wanted };
  const behind = (why: string, next: string) => ({
    is: 'behind' as const,
    wanted,
    why: `${wrong}: ${why}`,
    next,
  });
  if (target === null)
    return behind('unknown' in seen ? seen.unknown : 'nobody knows where to', nextOf(last, me));
  if (!me.connected)
    return {
      ...behind('its agent is not connected', `fleet hosts show ${host}`),
      away: me.current !== target.version && leftToPeople(last, me) === null,
    };
  const left = leftToPeople(last, me);
  if (left !== null) return behind(left.why, left.next);
  const waits = tried(me, now);
  if (waits !== null) return behind(waits.why, waits.next);
  // It was tried by the deployment that has verified it: what remains is for whoever has the balancer's configuration.
  if (me.absent && me.hidden !== null && isVerified(me) && me.verified!.deployment >= last.id)
    return behind(me.hidden, 'write it there, and reload the balancer');
  const skipChecks = target.version === last.version ? last.skipChecks : [];
  return { is: 'due', wanted, version: target.version, why: `${target.why}: it ${wrong}`, skipChecks };
}

/**
 * The one version that all its hosts are verified on. Who was lost, away, out or came later says nothing; who was left out on
 * purpose does, and so does the host itself where it is well.
 */
export function environmentVersion(
  last: Last,
  all: readonly Member[],
  host: string,
): { version: string } | { unknown: string } {
  const speaks = (member: Member): boolean => {
    if (member.isOut) return false;
    if (member.host === host && !isVerified(member)) return false;
    if ((member.verified?.deployment ?? 0) >= last.id) return true;
    const went = last.hosts.get(member.host);
    return went === undefined ? last.passedBy.get(member.host) === 'not_asked' : !went.lost;
  };
  const speaking = all.filter(speaks);
  if (speaking.length === 0)
    return last.succeeded
      ? { version: last.version }
      : { unknown: `deployment ${last.id} failed, and no host says what ${last.environment} is on` };
  const unsure = speaking.filter((member) => !isVerified(member));
  if (unsure.length > 0)
    return {
      unknown: `${unsure.map((member) => member.host).join(', ')} ${unsure.length === 1 ? 'is' : 'are'} not verified on what runs there`,
    };
  const versions = new Set(speaking.map(({ verified }) => verified!.version));
  const [version] = versions;
  if (versions.size === 1 && version !== undefined) return { version };
  return { unknown: `the hosts of ${last.environment} differ: ${[...versions].sort().join(', ')}` };
}

/** What was verified there last is what it has. */
function isVerified({ verified, current }: Member): boolean {
  return verified !== null && verified.version === current;
}

/** Where it has to go. A host that was lost before it could go back goes back, also where the others differ. */
function targetOf(
  last: Last,
  me: Member,
  seen: ReturnType<typeof environmentVersion>,
): { version: string; why: string } | null {
  if ('version' in seen) return { version: seen.version, why: 'catches up' };
  const wasLost = last.hosts.get(me.host)?.lost ?? false;
  if (wasLost && last.onFailure !== 'stop' && me.verified !== null)
    return { version: me.verified.version, why: `goes back, as deployment ${last.id} could not` };
  // Nothing was deployed while it was out: it has what it had.
  if ((me.letIn ?? '') > last.startedAt && last.passedBy.get(me.host) !== 'out' && isVerified(me))
    return { version: me.verified!.version, why: 'is let in again' };
  return null;
}

function whatIsWrong(me: Member, target: string | null): string | null {
  if (me.current === null) return 'has no version';
  if (target !== null && me.current !== target) return `has ${me.current}, not ${target}`;
  if (me.hidden !== null) return 'is hidden';
  if (me.absent) return 'is not in the balancer';
  if (target !== null && !isVerified(me)) return `is not verified on ${target}`;
  return null;
}

/** What a person has decided, or has to. */
function leftToPeople(last: Last, me: Member): { why: string; next: string } | null {
  const { host } = me;
  const asked = (me.letIn ?? '') > last.startedAt;
  if (asked) return null;
  if (last.passedBy.get(host) === 'not_asked')
    return { why: `it was left out of deployment ${last.id}`, next: nextOf(last, me) };
  const went = last.hosts.get(host);
  const isWell = went === undefined || went.lost || me.verified?.deployment === last.id || last.succeeded;
  // It was mended since, or is another machine by now.
  if (isWell || me.since > last.endedAt) return null;
  return { why: `deployment ${last.id} failed on it`, next: `fleet retry ${last.id}` };
}

function tried(me: Member, now: number): { why: string; next: string } | null {
  const after = [me.since, me.letIn ?? ''].sort().at(-1)!;
  const tries = me.tries.filter(({ startedAt }) => startedAt > after);
  const newest = tries.at(-1);
  if (newest === undefined || newest.end === 'well') return null;
  const why = `catching up failed (deployment ${newest.id})`;
  const next = `fleet retry ${newest.id}`;
  if (newest.end === 'failed' || tries.length >= TRIES) return { why, next };
  const pause = FIRST_PAUSE_MS * 2 ** (tries.length - 1);
  return Date.parse(newest.endedAt) + pause > now ? { why: `${why}, and is tried again soon`, next } : null;
}

function nextOf({ service, environment, version }: Last, { host }: Member): string {
  return `fleet deploy ${service} -e ${environment} --version ${version} --host ${host}`;
}
