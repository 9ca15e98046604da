/** Builds that somebody asked for by themselves. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import { type ErrorBody, FleetError } from '@fleet/protocol/errors.ts';
import { buildTopic, type Events } from './events.ts';
import type { Db } from './open.ts';

export interface BuildRecord {
  id: number;
  service: string;
  state: 'running' | 'succeeded' | 'failed';
  version: string | null;
  built: boolean | null;
  error: ErrorBody | null;
}

export class Builds {
  readonly #db: Db;
  readonly #events: Events;
  constructor(db: Db, events: Events) {
    this.#db = db;
    this.#events = events;
  }

  async begin(service: string, ref: string): Promise<number> {
    const row = await this.#db
      .insertInto('builds')
      .values({ service, ref, state: 'running', started_at: new Date().toISOString() })
      .returning('id')
      .executeTakeFirstOrThrow();
    return row.id;
  }

  async end(
    id: number,
    end: { version: string | null; built: boolean; error: ErrorBody | null },
    event: FleetEvent,
  ): Promise<void> {
    await this.#events.append(buildTopic(id), event, (trx) =>
      trx
        .updateTable('builds')
        .set({
          state: end.error === null ? 'succeeded' : 'failed',
          version: end.version,
          built: end.built ? 1 : 0,
          error: end.error === null ? null : JSON.stringify(end.error),
          ended_at: new Date().toISOString(),
        })
        .where('id', '=', id)
        .execute(),
    );
  }

  async get(id: number): Promise<BuildRecord> {
    const row = await this.#db.selectFrom('builds').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row)
      throw new FleetError('bad_request', `there is no build ${id}`, {
        next: 'fleet releases lists what was built',
      });
    return {
      id: row.id,
      service: row.service,
      state: row.state,
      version: row.version,
      built: row.built === null ? null : row.built === 1,
      error: row.error === null ? null : (JSON.parse(row.error) as ErrorBody),
    };
  }

  /** Builds do not outlive the controller: what was running when it ended has failed, and whoever watches it is told. */
  async failUnfinished(): Promise<void> {
    const error = new FleetError('build_failed', 'the controller ended during the build', {
      next: 'fleet build again',
    });
    const end = { version: null, built: false, error: error.toJSON() };
    const unfinished = this.#db.selectFrom('builds').select('id').where('state', '=', 'running');
    for (const { id } of await unfinished.execute())
      await this.end(id, end, { type: 'build.ended', notes: [], ms: 0, ...end });
  }
}
