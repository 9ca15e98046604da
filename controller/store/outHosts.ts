/** Hosts that people have taken out, until somebody lets them in again. */
import type { Db } from './open.ts';

export interface OutHost {
  host: string;
  by: string;
  why: string;
  since: string;
}

export class OutHosts {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  /** Who takes out what is out already has a reason of their own; since when it is out stays. */
  async add({ host, by, why }: Omit<OutHost, 'since'>): Promise<void> {
    await this.#db
      .insertInto('out_hosts')
      .values({ host, by, why, since: new Date().toISOString() })
      .onConflict((conflict) => conflict.column('host').doUpdateSet({ by, why }))
      .execute();
  }

  /** Lets it in again. False where it was not out. */
  remove(host: string): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const gone = await trx.deleteFrom('out_hosts').where('host', '=', host).executeTakeFirstOrThrow();
      const let_in = new Date().toISOString();
      await trx.updateTable('hosts').set({ let_in }).where('host', '=', host).execute();
      return gone.numDeletedRows > 0n;
    });
  }

  async get(host: string): Promise<OutHost | undefined> {
    return this.#db.selectFrom('out_hosts').selectAll().where('host', '=', host).executeTakeFirst();
  }

  async list(): Promise<OutHost[]> {
    return this.#db.selectFrom('out_hosts').selectAll().orderBy('host').execute();
  }
}
