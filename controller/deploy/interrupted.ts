/**
 * Hooks that may not run twice and were interrupted in the middle, by a crash of the agent or of its host. Nobody here knows how
 * far one came: its step waits for a person, and is then done again with what was decided.
 */
import type { Interruption, Take } from '@fleet/protocol/api/interruptions.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { type Command, interruptedPart } from '@fleet/protocol/messages/command.ts';
import { FINAL } from '../store/deployments.ts';
import { deploymentTopic } from '../store/events.ts';
import type { StepRecord } from '../store/steps.ts';
import type { Store } from '../store/store.ts';
import type { Deps } from './context.ts';
import { Parked } from './parked.ts';

/** As a command carries them. */
export type Decisions = NonNullable<Command['decisions']>;

/**
 * Does the work of a step, as often as a hook in it is interrupted and somebody decides about it. Waits as long as that takes.
 * Throws `hook_interrupted` where the deployment is aborted, and `Parked`.
 */
export async function withDecisions<T>(
  { deps, deployment: { id } }: { deps: Pick<Deps, 'store' | 'parking'>; deployment: { id: number } },
  { step, host, kind, rescue }: StepRecord,
  work: (decisions: Decisions) => Promise<T>,
): Promise<T> {
  const { store, parking } = deps;
  for (;;) {
    const decisions = await untilDecided(id, step, store, parking);
    try {
      return await work(decisions);
    } catch (error) {
      const part = interruptedIn(error);
      // Who decided has no second try at the same interruption: the agent did not take it.
      if (
        part === undefined ||
        decisions.some(({ part: hook, run }) => hook === part.hook && run >= part.run)
      )
        throw error;
      if ((await store.deployments.get(id)).state === 'aborting') throw error;
      const { hook, version } = part;
      await store.interruptions.open(
        id,
        { step, ...part },
        { type: 'step.waiting', step, host, kind, rescue, hook, version },
      );
    }
  }
}

async function untilDecided(
  id: number,
  step: number,
  store: Store,
  parking: AbortSignal,
): Promise<Decisions> {
  const seen = await store.events.until(deploymentTopic(id), parking, async () => {
    const mine = (await store.interruptions.list(id)).filter((each) => each.step === step);
    const open = mine.find(({ decision }) => decision === null);
    if (open === undefined) return { decided: mine, open };
    const { state } = await store.deployments.get(id);
    return state === 'aborting' ? { decided: mine, open } : undefined;
  });
  if (seen === undefined) throw new Parked();
  if (seen.open !== undefined) throw givenUp(seen.open);
  return seen.decided.flatMap(({ hook, run, decision }) =>
    decision === null ? [] : [{ part: hook, run, take: decision.take }],
  );
}

/** Undefined for every other failure, and for an agent that does not say which hook it was. */
function interruptedIn(thrown: unknown) {
  const error = asFleetError(thrown);
  return error.code === 'hook_interrupted' ? interruptedPart.safeParse(error.data).data : undefined;
}

function givenUp({ hook, version, host }: Interruption): FleetError {
  return new FleetError(
    'hook_interrupted',
    `${hook} of ${version} was interrupted in the middle, and nobody decided how to go on`,
    { next: `look on ${host} how far ${hook} came, and put it right by hand before the next deployment` },
  );
}

/** Decides about the interrupted hooks that wait, of one host or of all. Throws `not_waiting`, `not_running`. */
export async function decide(
  id: number,
  store: Store,
  { take, by, why, host }: { take: Take; by: string; why?: string | undefined; host?: string | undefined },
): Promise<void> {
  const { state } = await store.deployments.get(id);
  const open = (await waitingFor(id, store)).filter((each) => host === undefined || each.host === host);
  if (state !== 'waiting' || open.length === 0) throw notWaiting(id, state, host);
  const decision = { take, by, why: why ?? null };
  for (const interruption of open) {
    const { step, host, kind, hook, version } = interruption;
    const { rescue } = (await store.steps.list(id)).find((each) => each.step === step)!;
    const about = { step, host, kind, rescue, hook, version };
    await store.interruptions.decide(id, interruption, decision, {
      type: 'step.decided',
      ...about,
      ...decision,
    });
  }
}

export async function waitingFor(id: number, store: Store): Promise<Interruption[]> {
  return (await store.interruptions.list(id)).filter(({ decision }) => decision === null);
}

export function notWaiting(id: number, state: string, host: string | undefined): FleetError {
  if (FINAL.some((final) => final === state))
    return new FleetError('not_running', `deployment ${id} has ended: ${state}`, {
      next: `fleet recap ${id}`,
    });
  const where = host === undefined ? '' : ` for ${host}`;
  return new FleetError('not_waiting', `deployment ${id} does not wait${where}: it is ${state}`, {
    next: `fleet attach ${id}`,
  });
}
