/** Locks on (service, environment). They are taken and freed with their deployment; here they are only read. */
import type { Db } from './open.ts';

export interface Lock {
  service: string;
  environment: string;
  deployment: number;
  owner: string;
  since: string;
}

export class Locks {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async list(): Promise<Lock[]> {
    return this.#db.selectFrom('locks').selectAll().execute();
  }
}
