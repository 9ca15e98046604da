/** How long it took to come back, and to notice that somebody was lost: from the faults, and from the controller's log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultKind, Run, TimelineLine } from './record.ts';

interface Held {
  fault: FaultKind;
  host: string | null;
  from: number;
  to: number;
}
interface Logged {
  at: number;
  host: string | undefined;
  what: string;
}

const LOSES: ReadonlySet<FaultKind> = new Set(['link.cut', 'link.oneway', 'agent.freeze']);
/** What else is broken at the time makes a figure say nothing. */
const TOUCHES_ALL = /^(controller|store)\./;

/** Rows of a table: what was measured, and the figures. */
export function recoveries(dir: string, timeline: readonly TimelineLine[]): Array<[string, string]> {
  const run = JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8')) as Run;
  const faults = faultsIn(timeline);
  const log = logOf(join(dir, 'logs', 'controller.log'), run);
  const undisturbed = (from: number, to: number, host: string, but: Held) =>
    !faults.some(
      (other) =>
        other !== but &&
        other.from < to &&
        other.to > from - 1000 &&
        (other.host === null
          ? TOUCHES_ALL.test(other.fault) || other.fault.startsWith('link.')
          : other.host === host),
    );
  const next = (what: string, host: string, after: number) =>
    log.find((line) => line.what === what && line.host === host && line.at > after)?.at;

  const controllers: number[] = [];
  const agents: number[] = [];
  const noticed: number[] = [];
  for (const fault of faults) {
    if (fault.fault === 'controller.kill') {
      const back = run.hosts.flatMap((host) => {
        const at = next('agent connected', host, fault.to);
        return at !== undefined && undisturbed(fault.from, at, host, fault) ? [at - fault.to] : [];
      });
      if (back.length > 0) controllers.push(Math.max(...back));
    }
    if (fault.host === null) continue;
    if (fault.fault === 'agent.kill') {
      const at = next('agent connected', fault.host, fault.to);
      if (at !== undefined && undisturbed(fault.from, at, fault.host, fault)) agents.push(at - fault.to);
    }
    if (LOSES.has(fault.fault)) {
      const at = next('agent gone', fault.host, fault.from);
      if (at !== undefined && at < fault.to && undisturbed(fault.from, at, fault.host, fault))
        noticed.push(at - fault.from);
    }
  }
  return [
    ['From a killed controller’s start until its agents are connected', figures(controllers)],
    ['From a killed agent’s start until it is connected', figures(agents)],
    ['Until a host that was cut off or froze was noticed', figures(noticed)],
  ];
}

function faultsIn(timeline: readonly TimelineLine[]): Held[] {
  const held = new Map<number, Held>();
  for (const line of timeline) {
    if (line.kind === 'fault.begin')
      held.set(line.id, { fault: line.fault, host: line.host, from: line.at, to: Number.POSITIVE_INFINITY });
    if (line.kind === 'fault.end') held.get(line.id)!.to = line.at;
  }
  return [...held.values()];
}

/** On the clock of the record. */
function logOf(file: string, { startedAt, startedWall }: Run): Logged[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => {
      const { time, host, msg } = JSON.parse(line) as { time: number; host?: string; msg: string };
      return { at: time - startedWall + startedAt, host, what: msg };
    });
}

function figures(times: number[]): string {
  if (times.length === 0) return 'not seen';
  const sorted = times.sort((one, other) => one - other);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return `median ${seconds(sorted[Math.floor(sorted.length / 2)]!)}, longest ${seconds(sorted.at(-1)!)}, ${times.length} times`;
}
