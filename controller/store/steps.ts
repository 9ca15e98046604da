/** Steps: each is written before it starts and after it ends. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { ErrorBody } from '@fleet/protocol/errors.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import type { Kysely, Selectable } from 'kysely';
import { type Alongside, deploymentTopic, type Events } from './events.ts';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface NewStep {
  step: number;
  phase: number;
  phaseName: string;
  /** Lanes of this phase that run at the same time. */
  parallel: number;
  host: string;
  kind: StepKind;
  rescue: boolean;
  args: unknown;
  says: string;
}

export interface StepRecord extends NewStep {
  state: 'pending' | 'running' | 'done';
  outcome: Outcome | null;
  memo: unknown;
  message: string | null;
  error: ErrorBody | null;
  startedAt: string | null;
  ms: number | null;
}

export interface StepEnd {
  outcome: Outcome;
  message: string | null;
  error?: ErrorBody | undefined;
  ms: number;
}

export class Steps {
  readonly #db: Db;
  readonly #events: Events;
  constructor(db: Db, events: Events) {
    this.#db = db;
    this.#events = events;
  }

  async list(deployment: number): Promise<StepRecord[]> {
    const rows = await this.#db
      .selectFrom('steps')
      .selectAll()
      .where('deployment', '=', deployment)
      .orderBy('step')
      .execute();
    return rows.map(record);
  }

  async add(deployment: number, steps: NewStep[]): Promise<void> {
    await this.#db.transaction().execute((trx) => insertSteps(trx, deployment, steps));
  }

  async begin(deployment: number, step: number, event: FleetEvent): Promise<void> {
    await this.#events.append(deploymentTopic(deployment), event, (trx) =>
      trx
        .updateTable('steps')
        .set({ state: 'running', started_at: new Date().toISOString() })
        .where('deployment', '=', deployment)
        .where('step', '=', step)
        .execute(),
    );
  }

  /** What a step must know again after a crash, written before it acts. */
  async remember(deployment: number, step: number, memo: unknown): Promise<void> {
    await this.#db
      .updateTable('steps')
      .set({ memo: JSON.stringify(memo) })
      .where('deployment', '=', deployment)
      .where('step', '=', step)
      .execute();
  }

  async end(
    deployment: number,
    step: number,
    end: StepEnd,
    event: FleetEvent,
    also?: Alongside,
  ): Promise<void> {
    await this.#events.append(deploymentTopic(deployment), event, async (trx) => {
      await also?.(trx);
      await trx
        .updateTable('steps')
        .set({
          state: 'done',
          outcome: end.outcome,
          message: end.message,
          error: end.error === undefined ? null : JSON.stringify(end.error),
          ended_at: new Date().toISOString(),
          ms: end.ms,
        })
        .where('deployment', '=', deployment)
        .where('step', '=', step)
        .execute();
    });
  }

  /** What was never begun, and now never will be. */
  async skipPending(deployment: number): Promise<void> {
    await this.#db
      .updateTable('steps')
      .set({ state: 'done', outcome: 'skipped' })
      .where('deployment', '=', deployment)
      .where('state', '=', 'pending')
      .execute();
  }
}

export async function insertSteps(trx: Kysely<Tables>, deployment: number, steps: NewStep[]): Promise<void> {
  // In pieces, because one statement takes 32,766 values at most.
  for (let from = 0; from < steps.length; from += 500) {
    const rows = steps.slice(from, from + 500).map((step) => ({
      deployment,
      step: step.step,
      phase: step.phase,
      phase_name: step.phaseName,
      parallel: step.parallel,
      host: step.host,
      kind: step.kind,
      rescue: step.rescue ? 1 : 0,
      args: JSON.stringify(step.args),
      says: step.says,
      state: 'pending' as const,
    }));
    await trx.insertInto('steps').values(rows).execute();
  }
}

function record(row: Selectable<Tables['steps']>): StepRecord {
  return {
    step: row.step,
    phase: row.phase,
    phaseName: row.phase_name,
    parallel: row.parallel,
    host: row.host,
    kind: row.kind as StepKind,
    rescue: row.rescue === 1,
    args: JSON.parse(row.args),
    says: row.says,
    state: row.state,
    outcome: row.outcome as Outcome | null,
    memo: row.memo === null ? null : JSON.parse(row.memo),
    message: row.message,
    error: row.error === null ? null : (JSON.parse(row.error) as ErrorBody),
    startedAt: row.started_at,
    ms: row.ms,
  };
}
