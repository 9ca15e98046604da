/** Rehearsals: written down when they begin, so that one whose end never came is seen. */
import { type RehearsalReport, type RehearsalRow, report } from '@fleet/protocol/api/rehearsals.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Selectable } from 'kysely';
import type { Events } from './events.ts';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export const rehearsalTopic = (id: number) => `rehearsal/${id}`;

export class Rehearsals {
  readonly #db: Db;
  readonly #events: Events;
  constructor(db: Db, events: Events) {
    this.#db = db;
    this.#events = events;
  }

  async begin(begun: { profile: string; host: string; by: string }): Promise<number> {
    const { id } = await this.#db
      .insertInto('rehearsals')
      .values({
        ...begun,
        started_at: new Date().toISOString(),
        ended_at: null,
        succeeded: null,
        report: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    return id;
  }

  /** With its event. Throws `bad_request` where there is none, or it has ended already. */
  async end(id: number, ended: RehearsalReport): Promise<void> {
    const { profile, host, endedAt } = await this.get(id);
    if (endedAt !== null)
      throw new FleetError('bad_request', `rehearsal ${id} has ended already, at ${endedAt}`, {
        next: `fleet rehearsals ${id}`,
      });
    const { succeeded, phases } = ended;
    const failed = phases.find(({ outcome }) => outcome === 'failed');
    const event = {
      ...{ type: 'rehearsal.ended' as const, profile, host, succeeded },
      why: failed === undefined ? null : `${failed.name}: ${failed.message ?? 'failed'}`,
    };
    await this.#events.append(rehearsalTopic(id), event, (trx) =>
      trx
        .updateTable('rehearsals')
        .set({
          ended_at: new Date().toISOString(),
          succeeded: succeeded ? 1 : 0,
          report: JSON.stringify(ended),
        })
        .where('id', '=', id)
        .execute(),
    );
  }

  /** Throws `bad_request`. */
  async get(id: number): Promise<RehearsalRow & { report: RehearsalReport | null }> {
    const row = await this.#db.selectFrom('rehearsals').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined)
      throw new FleetError('bad_request', `there is no rehearsal ${id}`, {
        next: 'fleet rehearsals lists them',
      });
    return { ...rowOf(row), report: row.report === null ? null : report.parse(JSON.parse(row.report)) };
  }

  /** Newest first. */
  async list({ profile, limit }: { profile?: string | undefined; limit: number }): Promise<RehearsalRow[]> {
    let query = this.#db.selectFrom('rehearsals').selectAll().orderBy('id', 'desc').limit(limit);
    if (profile !== undefined) query = query.where('profile', '=', profile);
    return (await query.execute()).map(rowOf);
  }
}

function rowOf(row: Selectable<Tables['rehearsals']>): RehearsalRow {
  const { id, profile, host, by, started_at: startedAt, ended_at: endedAt, succeeded } = row;
  return {
    ...{ id, profile, host, by, startedAt, endedAt },
    succeeded: succeeded === null ? null : succeeded === 1,
  };
}
