/** I9: no hook and no once step runs more often than it was begun as a step. */
import { answerable } from '../circumstances.ts';
import type { Deployment } from '../database.ts';
import { type HookRun, hookRuns } from '../hooks.ts';
import type { Evidence } from '../read.ts';
import type { Violation } from '../violation.ts';

const HOOKS: ReadonlySet<string> = new Set(['before_stop', 'after_stop', 'before_start', 'after_start']);

export function once(evidence: Evidence): Violation[] {
  const counted = new Map<string, { whose: Deployment; runs: HookRun[] }>();
  for (const run of hookRuns(evidence)) {
    if (evidence.run.repeatable.includes(run.name)) continue;
    const whose = answerable(evidence, run.host, run.from).at(-1);
    if (whose === undefined) continue;
    // A once step is the environment's, a hook its host's.
    const where = HOOKS.has(run.name) ? `${run.host} ${run.version}` : '';
    const key = `${whose.id} ${run.name} ${where}`;
    const known = counted.get(key) ?? { whose, runs: [] };
    counted.set(key, { whose, runs: [...known.runs, run] });
  }
  return [...counted.values()].flatMap(({ whose, runs }): Violation[] => {
    const last = runs.at(-1)!;
    const allowed = stepsFor(whose, last) + retriesOf(evidence, whose);
    if (runs.length <= allowed) return [];
    const ended = runs.filter((run) => run.to !== undefined).length;
    const where = HOOKS.has(last.name) ? ` on ${last.host}` : '';
    const what = `${last.name} of ${last.version} ran ${runs.length} times${where} (${ended} to its end) for deployment ${whose.id}, where ${allowed} would do`;
    return [{ id: 'I9', at: last.from, what }];
  });
}

/** A person who looked may say that an interrupted one is to run again: a retry of a deployment that has not ended. */
function retriesOf({ calls }: Evidence, { id, begun, ended }: Deployment): number {
  return calls.filter(
    ({ verb, argv, from, exit, killed }) =>
      verb === 'retry' && argv.includes(String(id)) && from > begun && from < ended && (exit === 0 || killed),
  ).length;
}

/** How many steps of the deployment may have run it: a restart, and the restart of a way back. */
function stepsFor({ steps }: Deployment, { name, host }: HookRun): number {
  return steps.filter(
    (step) =>
      step.begun !== undefined &&
      (HOOKS.has(name)
        ? step.kind === 'restart' && step.host === host
        : step.kind === 'once' && step.name === name),
  ).length;
}
