/** I10: what a recap says of a host, and what was there. */

import type { Quiescent } from '../../record.ts';
import { answerable, SLACK, wasHeld } from '../circumstances.ts';
import type { Deployment, DeploymentHost, RecapHost } from '../database.ts';
import { type Evidence, versionIn } from '../read.ts';
import { statusHosts } from '../status.ts';
import type { Violation } from '../violation.ts';

export function recaps(evidence: Evidence): Violation[] {
  const ended = evidence.database.deployments.flatMap((deployment) =>
    (deployment.recap?.hosts ?? []).flatMap((told) =>
      judge(evidence, deployment, told).map(
        (what): Violation => ({
          id: 'I10',
          at: deployment.ended,
          what: `recap of deployment ${deployment.id}, ${told.host}: ${what}`,
        }),
      ),
    ),
  );
  return [...ended, ...atRest(evidence)];
}

function judge(evidence: Evidence, deployment: Deployment, told: RecapHost): string[] {
  const { host, running } = told;
  const { begun, ended, version } = deployment;
  const before = deployment.hosts.find((each) => each.host === host);
  const current = evidence.currents.get(host);
  const near = current?.during(ended - SLACK, ended + SLACK) ?? [];
  const found: string[] = [];

  const unknown = told.unreachable > 0 || before?.report?.known === false;
  if (unknown && !wasHeld(evidence, host, begun, ended))
    found.push('it counts as unreachable, and no fault held it');
  if (running !== null && !ranNear(evidence, host, running, ended))
    found.push(`it runs ${running}, and the last program that was started there is of another version`);
  if (isGreen(told, version) && !near.includes(version))
    found.push(`it is verified on ${version}, and current names ${near.join(', ') || 'nothing'}`);
  if (before === undefined || unknown) return found;

  if (told.rescued > 0 && !near.includes(before.prior))
    found.push(`it went back to ${before.prior}, and current names ${near.join(', ') || 'nothing'}`);
  if (deployment.state === 'restored' && !near.includes(before.prior))
    found.push(
      `all is as it was before, ${before.prior} here, and current names ${near.join(', ') || 'nothing'}`,
    );
  if (!wasTouched(deployment, before)) {
    const switched = current?.spans.find(({ from }) => from > begun + SLACK && from < ended - SLACK);
    if (switched && answerable(evidence, host, switched.from).every((each) => each.id === deployment.id))
      found.push(`it was never begun, and current became ${switched.value}`);
  }
  return found;
}

export function isGreen(told: RecapHost, version: string | null): boolean {
  const { failed, unreachable, skipped, rescued, running } = told;
  return failed + unreachable + skipped + rescued === 0 && running !== null && running === version;
}

function wasTouched({ steps }: Deployment, { host }: DeploymentHost): boolean {
  return steps.some(
    (step) => step.host === host && step.kind !== 'stage' && step.kind !== 'once' && step.begun !== undefined,
  );
}

/** By the service's own lines: the last program started before, or a moment after, is of this version. */
function ranNear({ programs }: Evidence, host: string, version: string, at: number): boolean {
  const begun = programs.filter(
    (line) =>
      line.name === 'service' && line.event === 'begin' && line.host === host && line.at <= at + SLACK,
  );
  const last = begun.at(-1);
  if (last === undefined) return true;
  return begun.some((line) => line.version === version && (line === last || line.at >= at - SLACK));
}

/** With all faults healed, status is what the hosts are, and nothing is unknown. */
function atRest(evidence: Evidence): Violation[] {
  return evidence.rests.flatMap(({ at, state }) =>
    evidence.run.hosts.flatMap((host) =>
      judgeRest(evidence, at, state, host).map(
        (what): Violation => ({ id: 'I10', at, what: `${host}, at rest: ${what}` }),
      ),
    ),
  );
}

function judgeRest({ programs }: Evidence, at: number, state: Quiescent, host: string): string[] {
  const told = statusHosts(state.status).find((each) => each.host === host);
  if (told === undefined) return ['fleet status does not list it'];
  if (told.state === 'unknown') return ['fleet status does not know what runs'];
  const alive = new Set(state.processes[host]?.map(({ pid }) => pid));
  const serving = programs.findLast(
    (line) =>
      line.at < at &&
      line.host === host &&
      line.name === 'service' &&
      line.event === 'begin' &&
      alive.has(line.pid),
  );
  const runs = serving?.version ?? null;
  if (told.running !== runs)
    return [
      `fleet status has ${told.running ?? 'nothing'} running (${told.state}), and ${runs ?? 'nothing'} does`,
    ];
  const current = versionIn(state.current[host] ?? null);
  const isVisible = state.balancer[host]?.admin === 'ready';
  return isVisible && runs !== null && runs !== current
    ? [`users get ${runs}, and current names ${current ?? 'nothing'}`]
    : [];
}
