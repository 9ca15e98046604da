/** One step: written before it starts, done by the driver of its kind, written after it ended. */
import { join } from 'node:path';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import { type DeploymentRecord, type Failure, keepFailure } from '../store/deployments.ts';
import { deploymentTopic } from '../store/events.ts';
import { isStoreFault } from '../store/faults.ts';
import type { StepRecord } from '../store/steps.ts';
import { within } from './clock.ts';
import type { Deps, StepContext, StepResult } from './context.ts';
import { type Course, factsOf } from './course.ts';
import { type Decisions, withDecisions } from './interrupted.ts';
import { Parked } from './parked.ts';
import { stepArgs } from './step.ts';
import { STEP_DRIVERS } from './steps/kinds.ts';
import { openValues, type SentValues } from './values.ts';

export const isBad = (outcome: Outcome | null) => outcome === 'failed' || outcome === 'unreachable';

/** Performs a step and keeps `record` as the database has it. Throws only `Parked` and what the store throws. */
export async function performStep(course: Course, record: StepRecord): Promise<void> {
  const { deps, deployment } = course;
  const { step, host, kind, rescue } = record;
  if (deps.parking.aborted) throw new Parked();
  const about = { step, host, kind, rescue };
  await deps.store.steps.begin(deployment.id, step, { type: 'step.started', ...about, says: record.says });
  record.state = 'running';

  const started = deps.clock.now();
  let result: StepResult | undefined;
  let error: FleetError | undefined;
  try {
    result = await withDecisions(course, record, (decisions) =>
      drive(kind, contextOf(course, record, decisions)),
    );
  } catch (thrown) {
    if (deps.parking.aborted) throw new Parked();
    if (isStoreFault(thrown)) throw thrown;
    error = deps.secrets.known.error(thrown);
    if (error.code === 'internal')
      deps.log.error({ err: thrown, deployment: deployment.id, step }, 'a step failed unforeseen');
  }
  const outcome: Outcome = result?.outcome ?? (isLost(error) ? 'unreachable' : 'failed');
  const { message = null, output } = deps.secrets.known.all({
    message: result?.message ?? error?.message,
    output: result?.output ?? outputOf(error),
  });
  await keepOutput(deps, deployment.id, step, output);

  const ms = deps.clock.now() - started;
  await deps.store.steps.end(
    deployment.id,
    step,
    { outcome, message, error: error?.toJSON(), ms },
    {
      type: 'step.ended',
      ...about,
      outcome,
      ms,
      message,
      next: error?.next,
      output: error && output ? lastLines(output) : undefined,
    },
    error === undefined
      ? result?.also
      : (trx) => keepFailure(trx, deployment.id, failureOf(deployment.id, record, error, output)),
  );
  Object.assign(record, { state: 'done', outcome, message, error: error?.toJSON() ?? null, ms });
}

function failureOf(
  deployment: number,
  { host, kind, step }: StepRecord,
  { code, message, next }: FleetError,
  output: string | undefined,
): Failure {
  return {
    host,
    step: kind,
    code,
    message,
    next: next ?? `fleet logs --deployment ${deployment} --step ${step}`,
    output: lastLines(output),
  };
}

function drive(kind: StepKind, context: StepContext): Promise<StepResult> {
  const driver: { perform(context: never): Promise<StepResult> } = STEP_DRIVERS[kind];
  // The arguments were decoded by the same kind that picks the driver, which the compiler cannot follow.
  return driver.perform(context as never);
}

function contextOf(course: Course, record: StepRecord, decisions: Decisions): StepContext {
  const { deps, deployment, settings } = course;
  const { step, host, kind, rescue } = record;
  const signal = deps.parking;
  let opened: Promise<SentValues> | undefined;
  return {
    deployment,
    args: stepArgs.parse(record.args),
    facts: factsOf(course, host),
    step,
    deps,
    signal,
    patienceMs: settings.strategy.patience,
    balancer: settings.balancer && { ...settings.balancer, driver: deps.balancer(settings.balancer.name) },
    release: course.release,
    memo: record.memo,
    remember: async (memo) => {
      record.memo = memo;
      await deps.store.steps.remember(deployment.id, step, memo);
    },
    command: (part) => ({
      id: [deps.store.fleet, lifeOf(deployment), step, part].filter((each) => each !== undefined).join(':'),
      fleet: deps.store.fleet,
      epoch: deps.store.epoch,
      why: `deployment ${deployment.id}`,
      ...(decisions.length > 0 ? { decisions } : {}),
    }),
    ask: (method, body, { timeoutMs }) =>
      patiently(
        deps,
        host,
        settings.strategy.patience,
        () => deps.agents.ask(host, method, body, { timeoutMs, signal }),
        (text) => deps.store.events.append(deploymentTopic(deployment.id), { type: 'note', host, text }),
      ),
    open: (kept) => {
      opened ??= openValues(deps, kept, { ...deployment, host });
      return opened;
    },
    progress: (done, of, unit) =>
      deps.store.events.tell(deploymentTopic(deployment.id), {
        type: 'step.progress',
        step,
        host,
        kind,
        rescue,
        done,
        of,
        unit,
      }),
  };
}

/**
 * A database that was restored gives the numbers of lost deployments a second time, and agents would answer for the lost
 * ones from their journals: the moment of its start tells them apart.
 */
function lifeOf({ id, startedAt }: DeploymentRecord): string {
  return `${id}.${Date.parse(startedAt).toString(36)}`;
}

/** A host that is away for longer than that is told of: an agent that was only restarted is back before. */
const TELL_AFTER_MS = 2000;
/** Between two tries to ask an agent that is being stopped. */
const LEAVING_MS = 250;

/**
 * A host that was there and is lost gets its time to come back, however long it had been at work; asked again with the same
 * command, it answers once. `tell` is given what is waited for, and that it is over.
 */
export async function patiently<T>(
  deps: Pick<Deps, 'agents' | 'clock' | 'parking'>,
  host: string,
  patienceMs: number,
  work: () => Promise<T>,
  tell: (text: string) => Promise<void> = async () => {},
): Promise<T> {
  let left = patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isLost(asFleetError(error)) || left <= 0 || deps.parking.aborted) throw error;
      const lost = deps.clock.now();
      // It is still connected, and lets what runs end first.
      if (asFleetError(error).code === 'stopping')
        await deps.clock.sleep(Math.min(left, LEAVING_MS), deps.parking).catch(() => {});
      const back = (ms: number) =>
        succeeds(within(deps.clock, ms, deps.parking, (signal) => deps.agents.whenConnected(host, signal)));
      const soon = Math.min(left, TELL_AFTER_MS);
      let isBack = await back(soon);
      if (!isBack && left > soon && !deps.parking.aborted) {
        const why = asFleetError(error).message;
        await tell(`its agent is away (${why}): waiting for it, at most ${Math.round(left / 1000)}s`);
        isBack = await back(left - soon);
        if (isBack) await tell('its agent is back');
      }
      if (!isBack)
        throw new FleetError('unreachable', `${host} did not come back in ${patienceMs / 1000}s`, {
          next: `start its agent again; then fleet status says what runs there`,
          cause: error,
        });
      left -= deps.clock.now() - lost;
    }
  }
}

const succeeds = (work: Promise<unknown>) =>
  work.then(
    () => true,
    () => false,
  );

/** Also one whose agent is being stopped: another one comes in its place. */
const isLost = (error: FleetError | undefined) =>
  error?.code === 'link_lost' || error?.code === 'unreachable' || error?.code === 'stopping';

function outputOf(error: FleetError | undefined): string | undefined {
  const output = error?.data.output;
  if (typeof output === 'string') return output;
  if (typeof output === 'object' && output !== null && 'text' in output && typeof output.text === 'string')
    return output.text;
  return undefined;
}

function lastLines(output: string | undefined): string | undefined {
  return output === undefined || output === ''
    ? undefined
    : output.trimEnd().split('\n').slice(-20).join('\n');
}

export function outputPath(outputs: string, deployment: number, step: number): string {
  return join(outputs, String(deployment), `${step}.log`);
}

async function keepOutput(
  deps: Deps,
  deployment: number,
  step: number,
  output: string | undefined,
): Promise<void> {
  if (output === undefined || output === '') return;
  try {
    await deps.disk.mkdir(join(deps.outputs, String(deployment)), { recursive: true });
    await deps.disk.writeFile(outputPath(deps.outputs, deployment, step), output);
  } catch (error) {
    // A full disk. The step has acted, and how it ended counts for more than what it printed.
    deps.log.warn({ err: error, deployment, step }, 'not kept: the output of a step');
  }
}
