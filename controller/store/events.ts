/** Events: numbered, kept, and handed to whoever follows them once they are committed. */
import type { Envelope, FleetEvent } from '@fleet/protocol/api/events.ts';
import { event as eventSchema } from '@fleet/protocol/api/events.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Kysely } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export const deploymentTopic = (deployment: number) => `deployment/${deployment}`;
export const buildTopic = (build: number) => `build/${build}`;

/** A change that is committed together with an event. */
export type Alongside = (trx: Kysely<Tables>) => Promise<unknown>;

export type Follower = (envelope: Envelope) => void;

export class Events {
  readonly #db: Db;
  readonly #followers = new Set<Follower>();
  readonly #known: KnownSecrets;
  constructor(db: Db, known = new KnownSecrets()) {
    this.#db = db;
    this.#known = known;
  }

  /**
   * Keeps an event, together with the change that it tells of: `change` runs in the same transaction, so that neither is
   * there without the other.
   */
  async append(topic: string, event: FleetEvent): Promise<void>;
  async append<T>(topic: string, event: FleetEvent, change: (trx: Kysely<Tables>) => Promise<T>): Promise<T>;
  async append<T>(
    topic: string,
    told: FleetEvent,
    change?: (trx: Kysely<Tables>) => Promise<T>,
  ): Promise<T | undefined> {
    const event = this.#known.all(told);
    const at = new Date().toISOString();
    let id = 0;
    const result = await this.#db.transaction().execute(async (trx) => {
      const changed = await change?.(trx);
      const row = await trx
        .insertInto('events')
        .values({ topic, at, event: JSON.stringify(event) })
        .returning('id')
        .executeTakeFirstOrThrow();
      id = row.id;
      return changed;
    });
    this.#publish({ id, at, topic, event });
    return result;
  }

  /** Tells an event to those who look now and keeps nothing: progress. */
  tell(topic: string, event: FleetEvent): void {
    this.#publish({ id: null, at: new Date().toISOString(), topic, event: this.#known.all(event) });
  }

  /** Calls `follower` for each event from now on, until the returned function is called. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /**
   * Looks now and after each kept event of a topic, until `look` gives something. A change that is committed with its event is
   * never missed. Undefined when `signal` fires first.
   */
  async until<T>(
    topic: string,
    signal: AbortSignal,
    look: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    let news = Promise.withResolvers<void>();
    const tell = () => news.resolve();
    const unfollow = this.follow((envelope) => {
      if (envelope.topic === topic && envelope.id !== null) tell();
    });
    signal.addEventListener('abort', tell);
    try {
      while (!signal.aborted) {
        news = Promise.withResolvers<void>();
        const seen = await look();
        if (seen !== undefined) return seen;
        await news.promise;
      }
      return undefined;
    } finally {
      unfollow();
      signal.removeEventListener('abort', tell);
    }
  }

  /** Kept events after a number, oldest first, at most `limit`. */
  async after(id: number, topic: string | undefined, limit: number): Promise<Envelope[]> {
    let query = this.#db.selectFrom('events').selectAll().where('id', '>', id).orderBy('id').limit(limit);
    if (topic !== undefined) query = query.where('topic', '=', topic);
    const rows = await query.execute();
    return rows.map((row) => ({
      id: row.id,
      at: row.at,
      topic: row.topic,
      event: eventSchema.parse(JSON.parse(row.event)),
    }));
  }

  #publish(envelope: Envelope): void {
    for (const follower of this.#followers) follower(envelope);
  }
}
