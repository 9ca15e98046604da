/** Hosts that fleet took out of a balancer: an open record from before the act until the host is back. */
import type { Db } from './open.ts';

export interface HiddenHost {
  service: string;
  environment: string;
  host: string;
  deployment: number;
  reason: string;
  since: string;
}

export class Hidden {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async open(record: Omit<HiddenHost, 'since'>): Promise<void> {
    await this.#db
      .insertInto('hidden')
      .values({ ...record, since: new Date().toISOString() })
      .onConflict((conflict) =>
        conflict
          .columns(['service', 'environment', 'host'])
          .doUpdateSet({ deployment: record.deployment, reason: record.reason }),
      )
      .execute();
  }

  /** With `deployment`, only where that one opened it. */
  async close(service: string, environment: string, host: string, deployment?: number): Promise<void> {
    let closing = this.#db
      .deleteFrom('hidden')
      .where('service', '=', service)
      .where('environment', '=', environment)
      .where('host', '=', host);
    if (deployment !== undefined) closing = closing.where('deployment', '=', deployment);
    await closing.execute();
  }

  async has(service: string, environment: string, host: string): Promise<boolean> {
    const records = await this.list();
    return records.some(
      (record) => record.service === service && record.environment === environment && record.host === host,
    );
  }

  async list(): Promise<HiddenHost[]> {
    return this.#db.selectFrom('hidden').selectAll().execute();
  }
}
