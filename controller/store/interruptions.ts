/** Interrupted hooks: written when they begin to wait for a person, and again with what was decided. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Interruption, Take } from '@fleet/protocol/api/interruptions.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Selectable } from 'kysely';
import { deploymentTopic, type Events } from './events.ts';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export class Interruptions {
  readonly #db: Db;
  readonly #events: Events;
  constructor(db: Db, events: Events) {
    this.#db = db;
    this.#events = events;
  }

  /** In the order in which they were interrupted. */
  async list(deployment: number): Promise<Interruption[]> {
    const rows = await this.#db
      .selectFrom('interruptions')
      .innerJoin('steps', (join) =>
        join
          .onRef('steps.deployment', '=', 'interruptions.deployment')
          .onRef('steps.step', '=', 'interruptions.step'),
      )
      .selectAll('interruptions')
      .select(['steps.host', 'steps.kind'])
      .where('interruptions.deployment', '=', deployment)
      .orderBy('interruptions.since')
      .orderBy('interruptions.step')
      .execute();
    return rows.map(record);
  }

  /** From here on the deployment waits, until `decide`. */
  async open(
    deployment: number,
    { step, hook, run, version }: Pick<Interruption, 'step' | 'hook' | 'run' | 'version'>,
    event: FleetEvent,
  ): Promise<void> {
    const since = new Date().toISOString();
    await this.#events.append(deploymentTopic(deployment), event, (trx) =>
      trx.insertInto('interruptions').values({ deployment, step, hook, run, version, since }).execute(),
    );
  }

  /** Throws `not_waiting` where somebody was faster. */
  async decide(
    deployment: number,
    { step, hook, run }: Pick<Interruption, 'step' | 'hook' | 'run'>,
    { take, by, why }: { take: Take; by: string; why: string | null },
    event: FleetEvent,
  ): Promise<void> {
    await this.#events.append(deploymentTopic(deployment), event, async (trx) => {
      const decided = await trx
        .updateTable('interruptions')
        .set({ take, by, why, at: new Date().toISOString() })
        .where('deployment', '=', deployment)
        .where('step', '=', step)
        .where('hook', '=', hook)
        .where('run', '=', run)
        .where('take', 'is', null)
        .executeTakeFirst();
      if (decided.numUpdatedRows === 0n)
        throw new FleetError('not_waiting', `somebody else has decided about ${hook} just now`, {
          next: `fleet attach ${deployment}`,
        });
    });
  }
}

type Row = Selectable<Tables['interruptions']> & { host: string; kind: string };

function record({ step, host, kind, hook, run, version, since, take, by, why, at }: Row): Interruption {
  const decision = take === null || by === null || at === null ? null : { take, by, why, at };
  return { step, host, kind: kind as StepKind, hook, run, version, since, decision };
}
