/**
 * The whole job of one deployment: resolve the version, plan, ask the gates, store the plan, run it. It can be called again
 * for a deployment that a former controller left behind: what is stored is not done again.
 */
import { passing } from '@fleet/process/points.ts';
import type { rollbackRequest } from '@fleet/protocol/api/deployments.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { PlanRequest } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { z } from 'zod';
import type { ArtifactRecord } from '../store/artifacts.ts';
import { abortedUnplanned } from '../store/deployments.ts';
import { deploymentTopic } from '../store/events.ts';
import { isStoreFault } from '../store/faults.ts';
import type { Deps } from './context.ts';
import { rowsOf } from './course.ts';
import { endWithRecap } from './finish.ts';
import { Parked } from './parked.ts';
import { type Prepared, prepare, target } from './prepare.ts';
import { type Builder, buildVersion, existing } from './resolve.ts';
import { deployAsked, rollbackAsked } from './retry.ts';
import { run } from './run.ts';

export type RollbackRequest = z.infer<typeof rollbackRequest>;

/**
 * Never rejects for a reason of the deployment's own: that ends it, with its recap. Rejects with a fault of the store, and can be
 * called again when that is over. `signal` stops it until it is planned.
 */
export async function carryOut(id: number, deps: Deps, builder: Builder, signal: AbortSignal): Promise<void> {
  const { store } = deps;
  try {
    const { settings } = await store.deployments.get(id);
    if (settings === null) await planAndStore(id, deps, builder, signal);
    await run(id, deps);
  } catch (thrown) {
    if (thrown instanceof Parked || deps.parking.aborted) return;
    if (isStoreFault(thrown)) throw thrown;
    const { code, message, next, data } = deps.secrets.known.error(thrown);
    if (code === 'internal')
      deps.log.error({ err: thrown, deployment: id }, 'a deployment failed unforeseen');
    const output = typeof data.output === 'string' ? data.output : undefined;
    await store.deployments.fail(id, { host: null, step: null, code, message, next, output });
    await endWithRecap(id, deps);
  }
}

async function planAndStore(id: number, deps: Deps, builder: Builder, signal: AbortSignal): Promise<void> {
  const { store } = deps;
  const { kind, request, state } = await store.deployments.get(id);
  if (state === 'aborting') throw abortedUnplanned(id);
  const asked = kind === 'deploy' ? deployAsked.parse(request) : rollbackAsked.parse(request);
  const artifact =
    (await knownArtifact(asked, builder)) ?? (await builtArtifact(id, kind, asked, deps, builder, signal));
  const prepared = await prepare(deps, kind, asked, await target(deps, asked), artifact);
  refuse(prepared);
  await storePlan(id, deps, artifact, prepared);
}

function refuse({ refusals: [refusal] }: Prepared): void {
  if (refusal !== undefined) throw new FleetError(refusal.code, refusal.message, { next: refusal.next });
}

/** The version that is asked for; undefined where a ref is, or nothing. */
async function knownArtifact(
  asked: PlanRequest | RollbackRequest,
  builder: Builder,
): Promise<ArtifactRecord | undefined> {
  if ('to' in asked && asked.to !== undefined) return existing(builder, asked.service, asked.to);
  const { service, version, ref } = deployAsked.parse(asked);
  return version !== undefined && ref === undefined ? existing(builder, service, version) : undefined;
}

async function builtArtifact(
  id: number,
  kind: 'deploy' | 'rollback',
  asked: PlanRequest | RollbackRequest,
  deps: Deps,
  builder: Builder,
  signal: AbortSignal,
): Promise<ArtifactRecord> {
  // What a gate refuses whatever the version is does not cost a build first.
  refuse(await prepare(deps, kind, asked, await target(deps, asked), null));
  const { service, version, ref } = deployAsked.parse(asked);
  const tell = (event: FleetEvent) => deps.store.events.append(deploymentTopic(id), event);
  const { artifact, error, event } = await buildVersion(builder, { service, version, ref }, tell, signal);
  await tell(event);
  if (error !== null) throw error;
  return artifact;
}

async function storePlan(
  id: number,
  { store }: Deps,
  { version }: ArtifactRecord,
  prepared: Prepared,
): Promise<void> {
  const { plan, facts, settings, notes, passedBy } = prepared;
  const { kind, service, environment } = await store.deployments.get(id);
  const hosts = facts.map(({ host }) => host);
  const stored = {
    version,
    digest: plan.digest,
    settings,
    hosts: facts.map((each) => ({ host: each.host, facts: each })),
    steps: rowsOf(plan.phases),
    passedBy,
  };
  const started = { type: 'deployment.started', service, environment, version, hosts, kind } as const;
  await passing('controller.plan', () => store.deployments.plan(id, stored, started));
  const noop = `${service} ${version} runs on every host already, with the same values: nothing to do`;
  for (const text of plan.noop ? [...notes, noop] : notes)
    await store.events.append(deploymentTopic(id), { type: 'note', host: null, text });
}
