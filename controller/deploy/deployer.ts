/**
 * Deployments as the API asks for them. `carryOut` tells the whole job: resolve the version, plan, ask the gates, store,
 * run. It can be called again for a deployment that a former controller left behind.
 */

import type { DeploymentState } from '@fleet/protocol/api/deployments.ts';
import { rollbackRequest } from '@fleet/protocol/api/deployments.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { PlanReply, PlanRequest } from '@fleet/protocol/api/plans.ts';
import { planRequest } from '@fleet/protocol/api/plans.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { z } from 'zod';
import { checkService } from '../config/config.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import { FINAL } from '../store/deployments.ts';
import { buildTopic, deploymentTopic } from '../store/events.ts';
import type { Deps } from './context.ts';
import { rowsOf } from './course.ts';
import { endWithRecap } from './finish.ts';
import { Parked } from './perform.ts';
import { prepare, type Targeted, target } from './prepare.ts';
import { previousGood } from './previous.ts';
import { type Builder, buildVersion, existing, type Wanted } from './resolve.ts';
import { run } from './run.ts';
import { says } from './step.ts';

export type RollbackRequest = z.infer<typeof rollbackRequest>;
type Work = (signal: AbortSignal) => Promise<void>;

export class Deployer {
  readonly #deps: Deps;
  readonly #builder: Builder;
  /** What is under way, with the way to stop what has not been planned yet. */
  readonly #running = new Map<string, { done: Promise<void>; stop: AbortController }>();

  constructor(deps: Deps, builder: Builder) {
    this.#deps = deps;
    this.#builder = builder;
  }

  /** What a deployment would do. Stores nothing, builds nothing. */
  async plan(request: PlanRequest): Promise<PlanReply> {
    const targeted = await target(this.#deps, request);
    const artifact =
      request.version === undefined ? null : await existing(this.#builder, request.service, request.version);
    const prepared = await prepare(this.#deps, 'deploy', request, targeted, artifact);
    const { source } = this.#deps.config.services[request.service]!;
    return {
      service: request.service,
      environment: targeted.placed.environment,
      version: artifact?.version ?? null,
      toBuild: artifact === null ? (request.ref ?? ('git' in source ? source.ref : source.directory)) : null,
      digest: prepared.plan.digest,
      phases: prepared.plan.phases.map((phase) => ({
        name: phase.name,
        lanes: phase.lanes.map((lane) => ({
          host: lane.host,
          steps: lane.steps.map((step) => ({ kind: step.args.kind, host: lane.host, says: says(step.args) })),
        })),
      })),
      notes: prepared.notes,
      refusals: prepared.refusals,
      noop: prepared.plan.noop,
    };
  }

  /** Begins a deployment and gives its number. Throws before anything is stored when what is asked for does not exist. */
  async start(request: PlanRequest, by: string): Promise<number> {
    const targeted = await target(this.#deps, request);
    if (request.version !== undefined && request.ref === undefined)
      await existing(this.#builder, request.service, request.version);
    return this.#begin('deploy', request, targeted, by);
  }

  async rollback(request: RollbackRequest, by: string): Promise<number> {
    const targeted = await target(this.#deps, request);
    const to = request.to ?? (await this.#previous(targeted));
    await existing(this.#builder, request.service, to);
    return this.#begin('rollback', { ...request, to }, targeted, by);
  }

  /** The version that a rollback without one goes to. */
  async #previous({ placed, hosts }: Targeted): Promise<string> {
    const points = await this.#deps.store.rollbackPoints.list(placed.service, placed.environment);
    const running = new Map(
      hosts.map(
        (host) => [host.host, points.find((point) => point.host === host.host)?.version ?? null] as const,
      ),
    );
    const version = previousGood(points, running);
    if (version !== undefined) return version;
    throw new FleetError(
      'no_rollback_point',
      `no earlier version of ${placed.service} was verified on ${hosts.map(({ host }) => host).join(', ')} that nobody has gone back from`,
      { next: `fleet releases ${placed.service} lists what there is; name one with --to` },
    );
  }

  async #begin(
    kind: 'deploy' | 'rollback',
    request: PlanRequest | RollbackRequest,
    { placed }: Targeted,
    by: string,
  ): Promise<number> {
    if (this.#deps.parking.aborted)
      throw new FleetError('stopping', 'the controller is shutting down', {
        next: 'try again when it is back',
      });
    const { service, environment } = placed;
    // The environment was perhaps left out: what is stored says which one it was.
    const asked = { ...request, environment };
    const id = await this.#deps.store.deployments.begin({
      kind,
      service,
      environment,
      by,
      why: request.why ?? null,
      request: asked,
    });
    this.#go(deploymentTopic(id), (signal) => this.#carryOut(id, signal));
    return id;
  }

  /** Takes up what a former controller left unfinished. */
  async resume(): Promise<void> {
    await this.#deps.store.builds.failUnfinished();
    for (const { id } of await this.#deps.store.deployments.unfinished()) {
      await this.#deps.store.events.append(deploymentTopic(id), {
        type: 'deployment.resumed',
        why: 'the controller was started again',
      });
      this.#go(deploymentTopic(id), (signal) => this.#carryOut(id, signal));
    }
  }

  async abort(id: number, by: string, why: string | undefined): Promise<DeploymentState> {
    const { state } = await this.#deps.store.deployments.get(id);
    if (FINAL.includes(state)) {
      throw new FleetError('not_running', `deployment ${id} has ended: ${state}`, {
        next: `fleet recap ${id}`,
      });
    }
    const text = `${by} aborts it${why === undefined ? '' : `: ${why}`}; the host at work is finished first`;
    await this.#deps.store.events.append(deploymentTopic(id), { type: 'note', host: null, text });
    const now = await this.#deps.store.deployments.abort(id);
    if (state === 'resolving') this.#running.get(deploymentTopic(id))?.stop.abort();
    return now;
  }

  /** Builds a version by itself; its events tell how it goes. */
  async build(wanted: Wanted): Promise<number> {
    checkService(this.#deps.config, wanted.service);
    const { store } = this.#deps;
    const id = await store.builds.begin(wanted.service, wanted.ref ?? '');
    this.#go(buildTopic(id), async (signal) => {
      const tell = (event: FleetEvent) => store.events.append(buildTopic(id), event);
      const { artifact, error, event } = await buildVersion(this.#builder, wanted, tell, signal);
      await store.builds.end(
        id,
        { version: artifact?.version ?? null, built: event.built, error: error?.toJSON() ?? null },
        event,
      );
    });
    return id;
  }

  /** Waits until everything under way has ended or parked. */
  async idle(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  #go(topic: string, work: Work): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#deps.parking]);
    const done = work(signal)
      .catch((error: unknown) => this.#deps.log.error({ err: error, topic }, 'ended unforeseen'))
      .finally(() => this.#running.delete(topic));
    this.#running.set(topic, { done, stop });
  }

  async #carryOut(id: number, signal: AbortSignal): Promise<void> {
    const { store } = this.#deps;
    try {
      const { state, settings } = await store.deployments.get(id);
      if (state === 'resolving' || settings === null) await this.#planAndStore(id, signal);
      await run(id, this.#deps);
    } catch (thrown) {
      if (thrown instanceof Parked || this.#deps.parking.aborted) return;
      const error = asFleetError(thrown);
      if (error.code === 'internal')
        this.#deps.log.error({ err: thrown, deployment: id }, 'a deployment failed unforeseen');
      await store.deployments.fail(id, {
        host: null,
        step: null,
        code: error.code,
        message: error.message,
        next: error.next,
        output: outputIn(error),
      });
      await endWithRecap(id, this.#deps);
    }
  }

  async #planAndStore(id: number, signal: AbortSignal): Promise<void> {
    const { store } = this.#deps;
    const { kind, request, service, environment } = await store.deployments.get(id);
    const asked = kind === 'deploy' ? planRequest.parse(request) : rollbackRequest.parse(request);
    const artifact = await this.#artifact(id, asked, signal);
    const prepared = await prepare(this.#deps, kind, asked, await target(this.#deps, asked), artifact);
    const refusal = prepared.refusals[0];
    if (refusal !== undefined) throw new FleetError(refusal.code, refusal.message, { next: refusal.next });
    signal.throwIfAborted();
    const { plan, facts, settings, notes } = prepared;
    const { version } = artifact;
    await store.deployments.plan(
      id,
      {
        version,
        digest: plan.digest,
        settings,
        hosts: facts.map((each) => ({ host: each.host, facts: each })),
        steps: rowsOf(plan.phases),
      },
      {
        type: 'deployment.started',
        service,
        environment,
        version,
        hosts: facts.map(({ host }) => host),
        kind,
      },
    );
    if (plan.noop)
      notes.push(`${service} ${version} runs on every host already, with the same values: nothing to do`);
    for (const text of notes)
      await store.events.append(deploymentTopic(id), { type: 'note', host: null, text });
  }

  async #artifact(
    id: number,
    asked: PlanRequest | RollbackRequest,
    signal: AbortSignal,
  ): Promise<ArtifactRecord> {
    const { service } = asked;
    if ('to' in asked && asked.to !== undefined) return existing(this.#builder, service, asked.to);
    const { version, ref } = planRequest.parse(asked);
    if (version !== undefined && ref === undefined) return existing(this.#builder, service, version);
    const tell = (event: FleetEvent) => this.#deps.store.events.append(deploymentTopic(id), event);
    const { artifact, error, event } = await buildVersion(
      this.#builder,
      { service, version, ref },
      tell,
      signal,
    );
    await tell(event);
    if (error !== null) throw error;
    return artifact;
  }
}

function outputIn(error: FleetError): string | undefined {
  return typeof error.data.output === 'string' ? error.data.output : undefined;
}
