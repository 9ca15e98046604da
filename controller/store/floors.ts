/** The oldest release of each service that is still good, as it was signed. */
import type { SignedFloor } from '@fleet/protocol/trust.ts';
import type { Db } from './open.ts';

export interface FloorRecord {
  signed: SignedFloor;
  why: string;
  by: string;
  at: string;
}

export class Floors {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async set({ signed, why, by, at }: FloorRecord): Promise<void> {
    const row = { signed: JSON.stringify(signed), why, by, at };
    await this.#db
      .insertInto('floors')
      .values({ service: signed.statement.service, ...row })
      .onConflict((conflict) => conflict.column('service').doUpdateSet(row))
      .execute();
  }

  async list(): Promise<FloorRecord[]> {
    const rows = await this.#db.selectFrom('floors').selectAll().orderBy('service').execute();
    return rows.map(({ signed, why, by, at }) => ({
      signed: JSON.parse(signed) as SignedFloor,
      why,
      by,
      at,
    }));
  }
}
