/** What a simulation did, for people. */
import { KINDS } from './faults.ts';
import type { Played } from './play.ts';
import type { PlayedBy } from './players.ts';

export function reportOf(fleets: readonly PlayedBy[], ms: number): string[] {
  const deployments = fleets.reduce((sum, fleet) => sum + fleet.deployments, 0);
  const hours = fleets.reduce((sum, fleet) => sum + fleet.simulatedMs, 0) / 3_600_000;
  const perMinute = (spent: number) => (deployments / (spent / 60_000)).toFixed(0);
  const cpuMs = fleets.reduce((sum, fleet) => sum + fleet.cpuMs, 0);
  return [
    '',
    `${deployments} deployments on ${fleets.length} fleets, ${hours.toFixed(0)} simulated hours in ${(ms / 1000).toFixed(0)} s: ${perMinute(ms)} deployments a minute, ${perMinute(cpuMs)} a minute of processor time`,
    `violated invariants: ${fleets.filter(({ violation }) => violation !== undefined).length}`,
    '',
    ...table('ended', summed(fleets.map(({ endings }) => endings))),
    '',
    ...table('faults', summed(fleets.map(({ faults }) => faults))),
  ];
}

export function kindsNeverSeen(fleets: readonly Played[]): string[] {
  return KINDS.filter((kind) => fleets.every(({ faults }) => !faults.has(kind)));
}

export function summed(counts: ReadonlyArray<ReadonlyMap<string, number>>): Map<string, number> {
  const all = new Map<string, number>();
  for (const each of counts) for (const [key, count] of each) all.set(key, (all.get(key) ?? 0) + count);
  return new Map([...all].sort(([, one], [, other]) => other - one));
}

function table(title: string, counts: ReadonlyMap<string, number>): string[] {
  return [title, ...[...counts].map(([key, count]) => `${String(count).padStart(9)}  ${key}`)];
}
