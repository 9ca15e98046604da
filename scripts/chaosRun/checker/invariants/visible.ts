/** I4 and I5: who was hidden, by the balancer's own word. */
import { answerable, atWork, SLACK } from '../circumstances.ts';
import type { Deployment } from '../database.ts';
import type { Evidence } from '../read.ts';
import { statusHosts } from '../status.ts';
import type { Violation } from '../violation.ts';

export interface Hidden {
  host: string;
  from: number;
  to: number;
}

/** Times in which a host was out of the balancer, whether draining or in maintenance. */
export function hiddenTimes({ servers }: Evidence, host: string): Hidden[] {
  const times: Hidden[] = [];
  for (const { from, to, value } of servers.get(host)?.spans ?? []) {
    if (value.admin === 'ready') continue;
    const last = times.at(-1);
    if (last?.to === from) last.to = to;
    else times.push({ host, from, to });
  }
  return times;
}

export function visible(evidence: Evidence): Violation[] {
  const times = evidence.run.hosts.flatMap((host) => hiddenTimes(evidence, host));
  const hides = times.filter(({ host, from }) => evidence.servers.get(host)?.spans[0]?.from !== from);
  return [...hides.flatMap((hide) => judge(evidence, hide, times)), ...records(evidence)];
}

function judge(evidence: Evidence, hide: Hidden, times: Hidden[]): Violation[] {
  const { host, from } = hide;
  const say = (what: string): Violation[] => [{ id: 'I4', at: from, what }];
  const deployment = atWork(evidence, from) ?? answerable(evidence, host, from).at(-1);
  if (deployment === undefined) return say(`${host} was hidden while nothing was being deployed`);
  // A host that fails its checks goes, however few are left: it serves errors.
  if (isWayBack(deployment, hide)) return [];

  const { minVisible, maxHidden } = evidence.run;
  const others = mostVisible(evidence, hide);
  if (wasVisible(evidence, hide) && others < minVisible)
    return say(`${host} was hidden with ${others} others visible, and at least ${minVisible} must stay`);
  const together = times.filter(
    (each) =>
      each.from <= from && each.to > from + SLACK && each.from >= deployment.begun - SLACK && each !== hide,
  );
  if (together.length + 1 > maxHidden)
    return say(
      `deployment ${deployment.id} hid ${host} while it had ${together.map((each) => each.host).join(', ')} hidden: at most ${maxHidden} at once`,
    );
  return [];
}

function isWayBack({ steps }: Deployment, { host, from }: Hidden): boolean {
  return steps.some(
    ({ kind, rescue, host: on, begun }) =>
      kind === 'hide' && rescue && on === host && begun !== undefined && begun <= from + SLACK,
  );
}

function wasVisible({ servers }: Evidence, { host, from }: Hidden): boolean {
  const before = servers.get(host)?.during(from - SLACK, from - 1) ?? [];
  return before.length > 0 && before.every((state) => state.admin === 'ready' && state.up);
}

/** How many of the others were visible, counted in their favour: what was seen a moment ago may be a moment old. */
function mostVisible({ servers, run }: Evidence, { host, from }: Hidden): number {
  return run.hosts.filter(
    (other) =>
      other !== host &&
      servers
        .get(other)
        ?.during(from - SLACK, from)
        .some((state) => state.admin === 'ready' && state.up),
  ).length;
}

function records(evidence: Evidence): Violation[] {
  const say = (at: number, host: string): Violation => {
    const what = `${host} is hidden in the balancer, and nothing tells which deployment hid it`;
    return { id: 'I5', at, what };
  };
  const told = evidence.rests.flatMap(({ at, state }) => {
    const hosts = statusHosts(state.status);
    return Object.entries(state.balancer)
      .filter(([, { admin }]) => admin !== 'ready')
      .filter(([host]) => !/deployment \d+/.test(hosts.find((each) => each.host === host)?.note ?? ''))
      .map(([host]) => say(at, host));
  });
  const stored = evidence.run.hosts
    .filter((host) => (evidence.servers.get(host)?.at(evidence.end)?.admin ?? 'ready') !== 'ready')
    .filter((host) => !evidence.database.hidden.some((record) => record.host === host))
    .map((host) => say(evidence.end, host));
  return [...told, ...stored];
}
