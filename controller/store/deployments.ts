/** Deployments with their lock. A state changes in one transaction with the event that tells of it. */

import { EVERYWHERE, type Scope } from '@fleet/protocol/access.ts';
import type { DeploymentState } from '@fleet/protocol/api/deployments.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { PassedBy } from '@fleet/protocol/api/recap.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Kysely, type Selectable, type SqlBool, sql } from 'kysely';
import { type Alongside, deploymentTopic, type Events } from './events.ts';
import { type Wanted, whoHolds } from './holds.ts';
import type { Db } from './open.ts';
import { insertSteps, type NewStep } from './steps.ts';
import type { Apart, Tables } from './tables.ts';

export interface Failure {
  host: string | null;
  step: string | null;
  code: string;
  message: string;
  next?: string | undefined;
  output?: string | undefined;
}

export interface DeploymentRecord {
  id: number;
  kind: 'deploy' | 'rollback';
  service: string;
  environment: string;
  version: string | null;
  /** `waiting` is not kept as such: it is so while an interrupted hook has no decision, whether or not it is paused too. */
  state: DeploymentState;
  isPaused: boolean;
  by: string;
  why: string | null;
  request: unknown;
  /** Null for one that says what its environment is on. */
  apart: Apart | null;
  /** As planned; null until there is a plan. */
  settings: unknown;
  failure: Failure | null;
  exit: number | null;
  startedAt: string;
  endedAt: string | null;
}

export interface DeploymentHost {
  host: string;
  facts: unknown;
  report: unknown;
}

export const FINAL: readonly DeploymentState[] = ['succeeded', 'failed', 'restored', 'refused', 'aborted'];

export function abortedUnplanned(id: number): FleetError {
  return new FleetError('aborted', `deployment ${id} was aborted before it was planned: nothing was touched`);
}

/** What a deployment that holds the lock and does not go on by itself needs. */
const STANDING_STILL: Partial<Record<DeploymentState, { aside: string; next(id: number): string }>> = {
  paused: { aside: ', paused', next: (id) => `resume ${id} to let it go on` },
  waiting: { aside: ', waiting for a person', next: (id) => `attach ${id} to read what it waits for` },
};

export class Deployments {
  readonly #db: Db;
  readonly #events: Events;
  constructor(db: Db, events: Events) {
    this.#db = db;
    this.#events = events;
  }

  /** Takes the lock on (service, environment) and creates the deployment, or throws `locked` and says who holds it. */
  async begin(
    asked: Pick<DeploymentRecord, 'kind' | 'service' | 'environment' | 'by' | 'why' | 'request'> & {
      apart?: Apart | null;
    },
  ): Promise<number> {
    const now = new Date().toISOString();
    return this.#db.transaction().execute(async (trx) => {
      const held = await trx
        .selectFrom('locks')
        .selectAll()
        .where('locks.service', '=', asked.service)
        .where('locks.environment', '=', asked.environment)
        .executeTakeFirst();
      if (held) {
        const { state } = await find(trx, held.deployment);
        const { aside, next } = STANDING_STILL[state] ?? {
          aside: '',
          next: (id: number) => `attach ${id} to watch it`,
        };
        throw new FleetError(
          'locked',
          `${asked.service} in ${asked.environment} is being deployed by ${held.owner} since ${held.since} (deployment ${held.deployment}${aside})`,
          {
            next: `fleet ${next(held.deployment)}, fleet abort ${held.deployment} to stop it`,
            data: { deployment: held.deployment, owner: held.owner, since: held.since },
          },
        );
      }
      const { id } = await trx
        .insertInto('deployments')
        .values({
          kind: asked.kind,
          service: asked.service,
          environment: asked.environment,
          state: 'resolving',
          by: asked.by,
          why: asked.why,
          request: JSON.stringify(asked.request),
          apart: asked.apart ?? null,
          started_at: now,
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      await trx
        .insertInto('locks')
        .values({
          service: asked.service,
          environment: asked.environment,
          deployment: id,
          owner: asked.by,
          since: now,
        })
        .execute();
      return id;
    });
  }

  /**
   * Stores the plan: from here on the deployment survives everything, and one that was paused before stays so. Throws
   * `aborted` where somebody was faster, `host_busy`.
   */
  async plan(
    id: number,
    plan: {
      version: string;
      digest: string;
      settings: unknown;
      hosts: Array<{ host: string; facts: unknown }>;
      steps: NewStep[];
      passedBy?: readonly PassedBy[];
    },
    event: FleetEvent,
  ): Promise<void> {
    await this.#events.append(deploymentTopic(id), event, async (trx) => {
      const planned = await trx
        .updateTable('deployments')
        .set({
          state: sql`iif(state = 'paused', 'paused', 'running')`,
          version: plan.version,
          digest: plan.digest,
          settings: JSON.stringify(plan.settings),
        })
        .where('id', '=', id)
        .where('state', 'in', ['resolving', 'paused'])
        .executeTakeFirst();
      if (planned.numUpdatedRows === 0n) throw abortedUnplanned(id);
      const { service } = await find(trx, id);
      const held = await whoHolds(trx, {
        service,
        hosts: plan.hosts.map(({ host }) => host),
        deployment: id,
      });
      if (held !== undefined) throw held;
      const hosts = plan.hosts.map((host, position) => ({
        deployment: id,
        host: host.host,
        position,
        facts: JSON.stringify(host.facts),
      }));
      if (hosts.length > 0) await trx.insertInto('deployment_hosts').values(hosts).execute();
      const passedBy = (plan.passedBy ?? []).map((each) => ({ ...each, deployment: id }));
      if (passedBy.length > 0) await trx.insertInto('passed_by').values(passedBy).execute();
      await insertSteps(trx, id, plan.steps);
    });
  }

  /** Asks a deployment to wait at its next safe point. Throws `not_running` where it ends anyway. */
  async pause(id: number, event: FleetEvent): Promise<DeploymentState> {
    return this.#turn(id, event, ({ state }) => {
      if (state !== 'aborting') return 'paused';
      throw new FleetError('not_running', `deployment ${id} is being aborted`, {
        next: `fleet attach ${id}`,
      });
    });
  }

  /** Lets a paused deployment go on. Throws `not_paused`, `not_running`. */
  async resume(id: number, event: FleetEvent): Promise<DeploymentState> {
    return this.#turn(id, event, ({ state, settings, isPaused }) => {
      if (isPaused) return settings === null ? 'resolving' : 'running';
      throw new FleetError('not_paused', `deployment ${id} is not paused: it is ${state}`, {
        next: `fleet attach ${id}`,
      });
    });
  }

  /** Asks a deployment to stop at its next safe point. Throws `not_running`. */
  async abort(id: number, event: FleetEvent): Promise<DeploymentState> {
    return this.#turn(id, event, () => 'aborting');
  }

  /** What people ask of a deployment that is under way, with the event that tells of it. Gives its new state. */
  async #turn(
    id: number,
    event: FleetEvent,
    next: (now: DeploymentRecord) => DeploymentState,
  ): Promise<DeploymentState> {
    return this.#events.append(deploymentTopic(id), event, async (trx) => {
      const now = await find(trx, id);
      if (FINAL.includes(now.state))
        throw new FleetError('not_running', `deployment ${id} has ended: ${now.state}`, {
          next: `fleet recap ${id}`,
        });
      const state = next(now);
      await trx.updateTable('deployments').set({ state }).where('id', '=', id).execute();
      return state;
    });
  }

  async fail(id: number, failure: Failure): Promise<void> {
    await keepFailure(this.#db, id, failure);
  }

  /** The end: final state, exit status and recap, and the lock is free, all in one commit. */
  async end(
    id: number,
    end: { state: DeploymentState; exit: number },
    event: FleetEvent,
    also?: Alongside,
  ): Promise<void> {
    await this.#events.append(deploymentTopic(id), event, async (trx) => {
      await also?.(trx);
      await trx
        .updateTable('deployments')
        .set({ state: end.state, exit: end.exit, ended_at: new Date().toISOString() })
        .where('id', '=', id)
        .execute();
      await trx.deleteFrom('locks').where('deployment', '=', id).execute();
    });
  }

  async get(id: number): Promise<DeploymentRecord> {
    return find(this.#db, id);
  }

  /** Undefined, or the error that says who has one of these hosts. Only `plan` can tell for good. */
  async whoHolds(wanted: Wanted): Promise<FleetError | undefined> {
    return whoHolds(this.#db, wanted);
  }

  async list(filter: {
    service?: string | undefined;
    environment?: string | undefined;
    limit: number;
    /** Only what it takes in. */
    scope?: Scope;
  }): Promise<DeploymentRecord[]> {
    let query = deployments(this.#db).orderBy('id', 'desc').limit(filter.limit);
    if (filter.service !== undefined) query = query.where('service', '=', filter.service);
    if (filter.environment !== undefined) query = query.where('environment', '=', filter.environment);
    const { services, environments } = filter.scope ?? EVERYWHERE;
    if (services !== null) query = query.where('service', 'in', services);
    if (environments !== null) query = query.where('environment', 'in', environments);
    return (await query.execute()).map(record);
  }

  /** The newest one that says what its environment is on: planned, ended, and not apart. */
  async newestPlanned(service: string, environment: string): Promise<DeploymentRecord | undefined> {
    const row = await deployments(this.#db)
      .where('service', '=', service)
      .where('environment', '=', environment)
      .where('apart', 'is', null)
      .where('settings', 'is not', null)
      .where('ended_at', 'is not', null)
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row && record(row);
  }

  /** Those by which hosts have caught up after it, or have not; oldest first. */
  async catchUps(service: string, environment: string, after: number): Promise<DeploymentRecord[]> {
    const rows = await deployments(this.#db)
      .where('service', '=', service)
      .where('environment', '=', environment)
      .where('apart', '=', 'catching_up')
      .where('id', '>', after)
      .orderBy('id')
      .execute();
    return rows.map(record);
  }

  async unfinished(): Promise<DeploymentRecord[]> {
    const rows = await deployments(this.#db).where('state', 'not in', FINAL).orderBy('id').execute();
    return rows.map(record);
  }

  async hosts(id: number): Promise<DeploymentHost[]> {
    const rows = await this.#db
      .selectFrom('deployment_hosts')
      .selectAll()
      .where('deployment', '=', id)
      .orderBy('position')
      .execute();
    return rows.map((row) => ({
      host: row.host,
      facts: JSON.parse(row.facts),
      report: row.report === null ? null : JSON.parse(row.report),
    }));
  }

  /** Hosts of the environment that it did not go to. */
  async passedBy(id: number): Promise<PassedBy[]> {
    return this.#db
      .selectFrom('passed_by')
      .select(['host', 'reason'])
      .where('deployment', '=', id)
      .orderBy('host')
      .execute();
  }

  async saveReport(id: number, host: string, report: unknown): Promise<void> {
    await this.#db
      .updateTable('deployment_hosts')
      .set({ report: JSON.stringify(report) })
      .where('deployment', '=', id)
      .where('host', '=', host)
      .execute();
  }
}

/** Also part of the transaction that ends a failed step. The first failure is what the operator reads; later ones follow from it. */
export async function keepFailure(db: Kysely<Tables>, id: number, failure: Failure): Promise<void> {
  await db
    .updateTable('deployments')
    .set({ failure: JSON.stringify(failure) })
    .where('id', '=', id)
    .where('failure', 'is', null)
    .execute();
}

async function find(db: Kysely<Tables>, id: number): Promise<DeploymentRecord> {
  const row = await deployments(db).where('id', '=', id).executeTakeFirst();
  if (row) return record(row);
  throw new FleetError('unknown_deployment', `there is no deployment ${id}`, {
    next: 'fleet history lists them',
  });
}

function deployments(db: Kysely<Tables>) {
  return db
    .selectFrom('deployments')
    .selectAll()
    .select(({ selectFrom, exists }) =>
      exists(
        selectFrom('interruptions')
          .whereRef('interruptions.deployment', '=', 'deployments.id')
          .where('take', 'is', null)
          .select('step'),
      ).as('undecided'),
    );
}

function record(row: Selectable<Tables['deployments']> & { undecided: SqlBool }): DeploymentRecord {
  const waits = Boolean(row.undecided) && (row.state === 'running' || row.state === 'paused');
  return {
    id: row.id,
    kind: row.kind,
    service: row.service,
    environment: row.environment,
    version: row.version,
    state: waits ? 'waiting' : row.state,
    isPaused: row.state === 'paused',
    by: row.by,
    why: row.why,
    request: JSON.parse(row.request),
    apart: row.apart,
    settings: row.settings === null ? null : JSON.parse(row.settings),
    failure: row.failure === null ? null : (JSON.parse(row.failure) as Failure),
    exit: row.exit,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
