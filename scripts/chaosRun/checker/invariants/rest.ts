/** I17 and I18: what is left behind, and whether all is free again, when faults are healed and nothing runs. */

import type { Quiescent } from '../../record.ts';
import { FINAL } from '../database.ts';
import { hookRuns } from '../hooks.ts';
import type { Call, Evidence } from '../read.ts';
import { connections, historyRows, underWay } from '../status.ts';
import type { Violation } from '../violation.ts';

/** Growth that is none: a daemon may hold this much more than at its first rest, whatever it had then. */
const DESCRIPTORS = 10;
const RSS_KIB = 48 * 1024;
const GROWTH = 1.2;

/** Under way, and waiting for a person. */
const PARKED: ReadonlySet<string> = new Set(['paused', 'waiting']);

/** Bytes of a release that came and were not used yet: they stay for a week, for whoever goes on with the transfer. */
const PART = /^(.+)\.(manifest|artifact)\.[0-9a-f]{64}\.part$/;

export function rest(evidence: Evidence): Violation[] {
  const [first] = evidence.rests;
  return [
    ...evidence.rests.flatMap(({ at, state }) => [
      ...leftBehind(evidence, at, state).map((what): Violation => ({ id: 'I17', at, what })),
      ...(first ? growth(first.state, state) : []).map((what): Violation => ({ id: 'I17', at, what })),
      ...unfinished(evidence, state).map((what): Violation => ({ id: 'I18', at, what })),
    ]),
    ...stored(evidence),
    ...lastWords(evidence),
  ];
}

function leftBehind(evidence: Evidence, at: number, state: Quiescent): string[] {
  const names = Object.entries(state.leftovers).flatMap(([host, left]) =>
    left
      .filter((name) => !PART.test(name.slice(name.lastIndexOf('/') + 1)))
      .map((name) => `${host}: ${name} is left`),
  );
  const begun = evidence.programs.filter((line) => line.event === 'begin' && line.at < at);
  // In an hour a process id comes again: it belongs to whoever had it last.
  const last = new Map(begun.map((line) => [`${line.host} ${line.pid}`, line]));
  const hooks = hookRuns(evidence).filter(
    (run) => run.to === undefined && last.get(`${run.host} ${run.pid}`)?.at === run.from,
  );
  const services = [...last.values()].filter((line) => line.name === 'service');
  const processes = Object.entries(state.processes).flatMap(([host, running]) => {
    const pids = new Set(running.map(({ pid }) => pid));
    const hook = hooks.find((run) => run.host === host && pids.has(run.pid));
    const serving = services.filter((line) => line.host === host && pids.has(line.pid));
    return [
      ...(hook ? [`${host}: ${hook.name} of ${hook.version} still runs (pid ${hook.pid})`] : []),
      ...(serving.length > 1
        ? [`${host}: ${serving.map((line) => line.version).join(' and ')} run at the same time`]
        : []),
    ];
  });
  return [...names, ...processes];
}

function growth(first: Quiescent, now: Quiescent): string[] {
  return Object.entries(now.daemons).flatMap(([daemon, { descriptors, rss }]) => {
    const then = first.daemons[daemon];
    if (then === undefined) return [];
    return [
      ...(descriptors > Math.max(then.descriptors * GROWTH, then.descriptors + DESCRIPTORS)
        ? [`${daemon} has ${descriptors} descriptors open, and had ${then.descriptors}`]
        : []),
      ...(rss > Math.max(then.rss * GROWTH, then.rss + RSS_KIB)
        ? [`${daemon} has ${rss} KiB resident, and had ${then.rss}`]
        : []),
    ];
  });
}

function unfinished({ run }: Evidence, state: Quiescent): string[] {
  const agents = connections(state.hosts);
  return [
    ...run.hosts
      .filter((host) => !agents.some((agent) => agent.host === host && agent.connected))
      .map((host) => `${host} is not connected`),
    ...historyRows(state.history)
      .filter((row) => !FINAL.has(row.state) && !PARKED.has(row.state))
      .map((row) => `deployment ${row.id} is still ${row.state}`),
    ...underWay(state.status)
      .filter((row) => !PARKED.has(row.state))
      .map((row) => `deployment ${row.deployment} (${row.state}) holds its lock`),
  ];
}

function stored({ database, end }: Evidence): Violation[] {
  const open = database.deployments.filter(({ state }) => !FINAL.has(state));
  return [
    ...open
      .filter(({ state }) => !PARKED.has(state))
      .map(
        (each): Violation => ({ id: 'I18', at: end, what: `deployment ${each.id} was left ${each.state}` }),
      ),
    ...database.locks
      .filter((lock) => !open.some(({ id }) => id === lock.deployment))
      .map((lock): Violation => {
        const what = `the lock of deployment ${lock.deployment}, which has ended, is not free`;
        return { id: 'I18', at: end, what };
      }),
  ];
}

/** After the last rest nothing is in the way any more: what is begun then by itself must succeed. */
function lastWords(evidence: Evidence): Violation[] {
  const last = evidence.rests.at(-1)?.at ?? Number.POSITIVE_INFINITY;
  if (evidence.faults.some((fault) => fault.to > last)) return [];
  const after = evidence.calls.filter((call) => call.from > last && !call.killed);
  const alone = after.filter((call) => !after.some((other) => other !== call && crosses(call, other)));
  const broken = evidence.run.versions.filter((each) => each.broken).map(({ version }) => version);
  return alone.flatMap((call): Violation[] => {
    if (call.exit === 0 || call.argv.some((word) => broken.includes(word))) return [];
    const what = `${call.argv.join(' ')} with nothing in the way: exit status ${call.exit}`;
    if (call.verb === 'deploy') return [{ id: 'I18', at: call.to, what }];
    // Where nothing is left to go back to, it is refused.
    return call.verb === 'rollback' && call.exit !== 2 && call.exit !== 3
      ? [{ id: 'I13', at: call.to, what }]
      : [];
  });
}

const crosses = (a: Call, b: Call) => a.from < b.to && b.from < a.to;
