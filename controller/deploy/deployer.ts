/** Deployments, rollbacks and builds as the API asks for them: each is begun, and goes on by itself until it has ended or parked. */
import { passing } from '@fleet/process/points.ts';
import type { DeploymentState } from '@fleet/protocol/api/deployments.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { PlanReply, PlanRequest } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { checkService } from '../config/config.ts';
import { buildTopic, deploymentTopic } from '../store/events.ts';
import { isStoreFault } from '../store/faults.ts';
import type { Apart } from '../store/tables.ts';
import { carryOut, type RollbackRequest } from './carryOut.ts';
import type { Deps } from './context.ts';
import { decide, notWaiting, waitingFor } from './interrupted.ts';
import { type Asked, prepare, type Targeted, target } from './prepare.ts';
import { previousGood } from './previous.ts';
import { type Received, receiveRelease } from './receive.ts';
import { readRelease } from './releaseFiles.ts';
import { type Builder, buildVersion, checkMayBuild, existing, refToBuild, type Wanted } from './resolve.ts';
import { retryOf } from './retry.ts';
import { checkSigned } from './signed.ts';
import { says } from './step.ts';

/** Between two tries to write what could not be written: the disk is full, or somebody else holds the database. */
const STORE_RETRY_MS = 2000;

interface Decision {
  why?: string | undefined;
  host?: string | undefined;
}

export interface CatchingUp {
  service: string;
  environment: string;
  version: string;
  host: string;
  why: string;
  skipChecks: readonly string[];
}

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
    if (request.version === undefined) checkMayBuild(this.#builder, request.service);
    const artifact =
      request.version === undefined ? null : await existing(this.#builder, request.service, request.version);
    const prepared = await prepare(this.#deps, 'deploy', request, targeted, artifact);
    return {
      service: request.service,
      environment: targeted.placed.environment,
      version: artifact?.version ?? null,
      toBuild: artifact === null ? refToBuild(this.#builder, request) : null,
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
  async start(request: PlanRequest, by: string, apart?: Apart): Promise<number> {
    const targeted = await target(this.#deps, request);
    if (request.version !== undefined && request.ref === undefined)
      await checkSigned(this.#deps, await existing(this.#builder, request.service, request.version));
    else checkMayBuild(this.#builder, request.service);
    return this.#begin('deploy', request, targeted, by, apart);
  }

  async rollback(request: RollbackRequest, by: string): Promise<number> {
    const targeted = await target(this.#deps, request);
    const to = request.to ?? (await this.#previous(targeted));
    await checkSigned(this.#deps, await existing(this.#builder, request.service, to));
    return this.#begin('rollback', { ...request, to }, targeted, by);
  }

  /** Brings one host to the version that its environment is on. What runs once for the environment has run. */
  async catchUp({ host, version, skipChecks, ...about }: CatchingUp, by: string): Promise<number> {
    const request = { ...about, version, hosts: [host], skipChecks: [...skipChecks] };
    const targeted = await target(this.#deps, request);
    const artifact = await existing(this.#builder, request.service, version);
    const files = await readRelease(artifact, this.#deps.disk);
    await checkSigned(this.#deps, artifact, files);
    const ran = files.sealed.once.map(({ name }) => name);
    return this.#begin('deploy', { ...request, ran, catchesUp: true }, targeted, by, 'catching_up');
  }

  /**
   * Where a deployment waits: runs its interrupted hooks again. Where it has ended: begins the same once more for the hosts that did
   * not succeed. Null: there is no such host.
   */
  async retry(id: number, by: string, { why, host }: Decision = {}): Promise<number | null> {
    const { state } = await this.#deps.store.deployments.get(id);
    if (state === 'waiting') {
      await decide(id, this.#deps.store, { take: 'again', by, why, host });
      return id;
    }
    if (host !== undefined) throw notWaiting(id, state, host);
    const again = await retryOf(id, this.#deps.store, why);
    if (again === null) return null;
    if (again.kind === 'rollback') return this.rollback(again.request, by);
    const { apart } = await this.#deps.store.deployments.get(id);
    return this.start(again.request, by, apart ?? undefined);
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
    request: PlanRequest | RollbackRequest | Asked,
    { placed }: Targeted,
    by: string,
    apart: Apart | null = placed.rehearsed ? 'rehearsal' : null,
  ): Promise<number> {
    if (this.#deps.parking.aborted)
      throw new FleetError('stopping', 'the controller is shutting down', {
        next: 'try again when it is back',
      });
    const { service, environment } = placed;
    // The environment was perhaps left out: what is stored says which one it was.
    const asked = { ...request, environment };
    const id = await passing('controller.lock', () =>
      this.#deps.store.deployments.begin({
        kind,
        service,
        environment,
        by,
        why: request.why ?? null,
        request: asked,
        apart,
      }),
    );
    this.#go(deploymentTopic(id), (signal) => carryOut(id, this.#deps, this.#builder, signal));
    return id;
  }

  /** Takes up what a former controller left unfinished. What is paused stays so, and can be resumed and aborted as before. */
  async takeUp(): Promise<void> {
    await this.#deps.store.builds.failUnfinished();
    for (const { id, state } of await this.#deps.store.deployments.unfinished()) {
      const why = 'the controller was started again';
      const stays: Partial<Record<DeploymentState, string>> = {
        paused: `it stays paused: fleet resume ${id} goes on`,
        waiting: `it still waits for a person: fleet retry ${id}, fleet skip ${id} or fleet abort ${id}`,
      };
      await this.#deps.store.events.append(
        deploymentTopic(id),
        stays[state] === undefined ? { type: 'deployment.resumed', why } : note(`${why}; ${stays[state]}`),
      );
      this.#go(deploymentTopic(id), (signal) => carryOut(id, this.#deps, this.#builder, signal));
    }
  }

  async pause(id: number, by: string, why: string | undefined): Promise<DeploymentState> {
    const text = `${because(`${by} pauses it`, why)}; the host at work is finished first. To go on: fleet resume ${id}`;
    return this.#deps.store.deployments.pause(id, note(text));
  }

  async resume(id: number, by: string, why: string | undefined): Promise<DeploymentState> {
    const event = { type: 'deployment.resumed', why: because(`${by} resumes it`, why) } as const;
    return this.#deps.store.deployments.resume(id, event);
  }

  /** The interrupted hooks that it waits for count as done. */
  async skip(id: number, by: string, { why, host }: Decision = {}): Promise<DeploymentState> {
    await decide(id, this.#deps.store, { take: 'done', by, why, host });
    return (await this.#deps.store.deployments.get(id)).state;
  }

  async abort(id: number, by: string, why: string | undefined): Promise<DeploymentState> {
    const open = (await waitingFor(id, this.#deps.store)).map(
      ({ hook, version, host }) => `${hook} of ${version} on ${host}`,
    );
    const first =
      open.length > 0 ? `nobody decides about ${open.join(', ')}` : 'the host at work is finished first';
    const text = `${because(`${by} aborts it`, why)}; ${first}`;
    const state = await this.#deps.store.deployments.abort(id, note(text));
    // Nobody listens any more once it is planned.
    this.#running.get(deploymentTopic(id))?.stop.abort();
    return state;
  }

  /** Builds a version by itself; its events tell how it goes. */
  async build(wanted: Wanted): Promise<number> {
    checkService(this.#deps.config, wanted.service);
    checkMayBuild(this.#builder, wanted.service);
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

  /** See `receiveRelease`. */
  receive(stream: AsyncIterable<Buffer>, admit: (service: string) => void): Promise<Received> {
    return receiveRelease(this.#builder, stream, admit);
  }

  /** Waits until everything under way has ended or parked. */
  async idle(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  #go(topic: string, work: Work): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#deps.parking]);
    const done = this.#seeThrough(topic, work, signal)
      .catch((error: unknown) => this.#deps.log.error({ err: error, topic }, 'ended unforeseen'))
      .finally(() => this.#running.delete(topic));
    this.#running.set(topic, { done, stop });
  }

  /** While nothing can be written it waits, and then goes on from what is stored, as after a restart. */
  async #seeThrough(topic: string, work: Work, signal: AbortSignal): Promise<void> {
    const { clock, log, parking, store } = this.#deps;
    for (;;) {
      try {
        return await work(signal);
      } catch (error) {
        if (!isStoreFault(error)) throw error;
        log.warn(
          { topic, code: error.code },
          `${error.message}: trying again every ${STORE_RETRY_MS / 1000}s`,
        );
        const text = `${error.message}; it goes on by itself when that is over`;
        store.events.tell(topic, { type: 'note', host: null, text });
        await clock.sleep(STORE_RETRY_MS, parking).catch(() => {});
        if (parking.aborted) return;
      }
    }
  }
}

const note = (text: string): FleetEvent => ({ type: 'note', host: null, text });
const because = (what: string, why: string | undefined) => (why === undefined ? what : `${what}: ${why}`);
