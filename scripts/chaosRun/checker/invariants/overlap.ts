/** I7: one deployment at a time, and what happens on a host belongs to one. */
import { answerable } from '../circumstances.ts';
import type { Deployment } from '../database.ts';
import { hookRuns } from '../hooks.ts';
import type { Evidence } from '../read.ts';
import type { Violation } from '../violation.ts';

export function overlap(evidence: Evidence): Violation[] {
  return [...locks(evidence), ...hooks(evidence), ...switches(evidence)];
}

function locks({ database, run }: Evidence): Violation[] {
  const mine = database.deployments.filter(({ service }) => service === run.service);
  return mine.flatMap((deployment, index): Violation[] => {
    const before = mine.slice(0, index).find((each) => each.ended > deployment.begun);
    if (before === undefined) return [];
    const what = `deployment ${deployment.id} began before deployment ${before.id} had ended`;
    return [{ id: 'I7', at: deployment.begun, what }];
  });
}

function hooks(evidence: Evidence): Violation[] {
  const runs = hookRuns(evidence);
  return runs.flatMap((each): Violation[] => {
    const { host, name, version, from, to = from } = each;
    const say = (what: string): Violation[] => [
      { id: 'I7', at: from, what: `${name} of ${version} on ${host} ${what}` },
    ];
    const other = runs.find(
      (run) => run !== each && run.host === host && run.from < from && (run.to ?? run.from) > from,
    );
    if (other) return say(`began before ${other.name} of ${other.version} had ended there`);
    const whose = answerable(evidence, host, from);
    if (whose.length === 0) return say('ran while nothing was being deployed there');
    return answerable(evidence, host, to).length === 0 ? say('went on after its deployment had ended') : [];
  });
}

function switches(evidence: Evidence): Violation[] {
  return evidence.run.hosts.flatMap((host) =>
    (evidence.currents.get(host)?.spans ?? []).slice(1).flatMap(({ from, value }): Violation[] => {
      // That it is gone is told elsewhere.
      if (value === null) return [];
      const whose = answerable(evidence, host, from);
      if (whose.some((each) => gives(each, host, value))) return [];
      const meant = whose.map(({ id, version }) => `deployment ${id} of ${version}`).join(', ') || 'nothing';
      return [{ id: 'I7', at: from, what: `${host}: current became ${value} under ${meant}` }];
    }),
  );
}

const gives = ({ version, hosts }: Deployment, host: string, value: string | null) =>
  value === version || hosts.some((each) => each.host === host && each.prior === value);
