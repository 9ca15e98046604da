/**
 * The runner: one dull loop over the persisted steps. It can be killed anywhere and called again: steps that ended are
 * passed by, one that was begun is done again by asking what holds, and the ways back are steps like any other.
 */
import pLimit from 'p-limit';
import { deploymentTopic } from '../store/events.ts';
import type { StepRecord } from '../store/steps.ts';
import type { Deps } from './context.ts';
import { addRescue, type Course, factsOf, loadCourse, plannedPhases, rescueSteps } from './course.ts';
import { finish } from './finish.ts';
import { Parked } from './parked.ts';
import { isBad, performStep } from './perform.ts';
import { wayBack } from './rescue.ts';

/** Runs a planned deployment to its end. Throws `Parked` when the controller stops before that. */
export async function run(id: number, deps: Deps): Promise<void> {
  const course = await loadCourse(id, deps);
  for (const phase of plannedPhases(course)) {
    // A phase that was begun is gone through again, also after a failure: its ways back may not have come to their end.
    const begun = phase.lanes.some((lane) => lane.steps.some(wasBegun));
    if (!begun && (await mustStop(course))) break;
    if (phase.lanes.some((lane) => lane.steps.some((step) => step.state !== 'done'))) {
      const hosts = phase.lanes.map((lane) => lane.host);
      await deps.store.events.append(deploymentTopic(id), {
        type: 'phase.started',
        phase: phase.name,
        hosts,
      });
    }
    await inParallel(phase.lanes, phase.parallel, (lane) => runLane(course, lane));
  }
  await goBackEverywhere(course);
  await finish(course);
}

/** All lanes end, well or not, before the first reason to stop is thrown on. */
async function inParallel<T>(
  items: readonly T[],
  parallel: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const limit = pLimit(parallel);
  const ended = await Promise.allSettled(items.map((item) => limit(() => work(item))));
  const broken = ended.filter((end) => end.status === 'rejected').map((end): unknown => end.reason);
  // A fault of the store outweighs parking.
  const worst = broken.find((reason) => !(reason instanceof Parked)) ?? broken[0];
  if (worst !== undefined) throw worst;
}

/** One host's steps in this phase. A lane that has not begun is a safe point to stop at; one that has goes to its end. */
async function runLane(course: Course, lane: { host: string; steps: StepRecord[] }): Promise<void> {
  for (const [index, step] of lane.steps.entries()) {
    if (step.state === 'done') {
      if (isBad(step.outcome)) break;
      continue;
    }
    if (index === 0 && step.state === 'pending' && (await mustStop(course))) return;
    await performStep(course, step);
    if (isBad(step.outcome)) break;
  }
  if (lane.steps.some(failedOnHost)) await goBack(course, lane.host);
}

/** A safe point: waits here while the deployment is paused or waits for a person, unless something has failed and it ends anyway. */
async function mustStop({ deps, deployment: { id } }: Course): Promise<boolean> {
  const stop = await deps.store.events.until(deploymentTopic(id), deps.parking, async () => {
    const { state, failure } = await deps.store.deployments.get(id);
    if (state === 'aborting' || failure !== null) return true;
    return state === 'paused' || state === 'waiting' ? undefined : false;
  });
  if (stop === undefined) throw new Parked();
  return stop;
}

/** Brings one host back to what it ran before, as far as there is a way. */
async function goBack(course: Course, host: string): Promise<void> {
  if (course.settings.strategy.on_failure === 'stop') return;
  let steps = rescueSteps(course, host);
  if (steps.length === 0) {
    const begun = course.steps.filter(
      (step) => step.host === host && !step.rescue && wasBegun(step) && step.kind !== 'once',
    );
    const way = wayBack(factsOf(course, host), begun, course.settings.strategy);
    if (way.none !== null) {
      const text = `${host} is left as it is: ${way.none}`;
      await course.deps.store.events.append(deploymentTopic(course.deployment.id), {
        type: 'note',
        host,
        text,
      });
    }
    steps = await addRescue(course, host, way.steps);
  }
  for (const step of steps) {
    if (step.state !== 'done') await performStep(course, step);
    if (isBad(step.outcome)) return;
  }
}

/** `rollback_all`: after a failure the hosts that were done well go back too, one after the other, newest first. */
async function goBackEverywhere(course: Course): Promise<void> {
  const failed = course.steps.some((step) => isBad(step.outcome));
  if (!failed || course.settings.strategy.on_failure !== 'rollback_all') return;
  for (const { host } of course.hosts.toReversed()) {
    const mine = course.steps.filter((step) => step.host === host && !step.rescue);
    const done = mine.some((step) => step.kind === 'activate' && step.state === 'done');
    if (done && !mine.some(failedOnHost)) await goBack(course, host);
  }
}

/** A once step is the environment's, not its host's: where it fails, that host is no worse than the others. */
const failedOnHost = (step: StepRecord) => isBad(step.outcome) && step.kind !== 'once';

/** What is skipped at the end of a deployment is done with, and was never begun. */
const wasBegun = (step: StepRecord) => step.state !== 'pending' && step.outcome !== 'skipped';
