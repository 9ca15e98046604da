/** A deployment once more, for the hosts that did not succeed: the same kind, version, environment and way of going over the hosts. */
import { rollbackRequest } from '@fleet/protocol/api/deployments.ts';
import { planRequest } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { z } from 'zod';
import { FINAL } from '../store/deployments.ts';
import type { StepRecord } from '../store/steps.ts';
import type { Deps } from './context.ts';
import { recapInput } from './finish.ts';
import { hostsNotGreen } from './recap.ts';
import { stepArgs } from './step.ts';

/** What is kept of a retry beside the request. */
const retry = {
  retries: z.int().optional(),
  /** Once steps that ran in what is retried: they do not run again. */
  ran: z.array(z.string()).default([]),
  /** One host is brought to the version that its environment is on: where that fails it stays hidden, on no other version. */
  catchesUp: z.literal(true).optional(),
};
export const deployAsked = planRequest.extend(retry);
export const rollbackAsked = rollbackRequest.extend(retry);

type Retry =
  | { kind: 'deploy'; request: z.infer<typeof deployAsked> }
  | { kind: 'rollback'; request: z.infer<typeof rollbackAsked> };

/** Null where every host succeeded. Throws `locked` while it has not ended, `not_planned` where it had no hosts yet. */
export async function retryOf(
  id: number,
  store: Deps['store'],
  why = `retries deployment ${id}`,
): Promise<Retry | null> {
  const input = await recapInput(id, store);
  const { kind, service, environment, state, version, request } = input.deployment;
  if (!FINAL.includes(state)) {
    throw new FleetError('locked', `deployment ${id} has not ended: it is ${state}`, {
      next: `fleet attach ${id} to watch it, fleet abort ${id} to stop it`,
    });
  }
  if (version === null) {
    throw new FleetError(
      'not_planned',
      `deployment ${id} ended before it was planned, with no host asked for anything`,
      {
        next: `fleet deploy ${service} -e ${environment}`,
      },
    );
  }
  const hosts = hostsNotGreen(input);
  if (hosts.length === 0) return null;
  const asked = kind === 'deploy' ? deployAsked.parse(request) : rollbackAsked.parse(request);
  const ran = [...asked.ran, ...input.steps.flatMap(onceThatRan)];
  const again = { ...asked, hosts, roles: undefined, retries: id, ran, why };
  return kind === 'deploy'
    ? { kind, request: { ...again, version, ref: undefined } }
    : { kind, request: { ...again, to: version } };
}

function onceThatRan({ outcome, args }: StepRecord): string[] {
  const step = stepArgs.parse(args);
  return step.kind === 'once' && (outcome === 'ok' || outcome === 'changed') ? [step.name] : [];
}
