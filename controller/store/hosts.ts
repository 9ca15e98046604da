/** Hosts: every one that ever said hello, with what it said last. */
import type { Labels } from '@fleet/protocol/words.ts';
import { type Kysely, sql } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface HostRecord {
  host: string;
  instance: string;
  labels: Labels;
  platform: string;
  agent: string;
  bootId: string;
  freeDisk: number;
  services: Array<{ service: string; current: string | null; releases: string[] }>;
  lastSeen: string;
  /** When it first said hello from this boot, with this agent. */
  since: string;
  /** When somebody last let it in again. */
  letIn: string | null;
}

export class Hosts {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async save(host: Omit<HostRecord, 'lastSeen' | 'since' | 'letIn'>): Promise<void> {
    const now = new Date().toISOString();
    const said = {
      instance: host.instance,
      labels: JSON.stringify(host.labels),
      platform: host.platform,
      agent: host.agent,
      boot_id: host.bootId,
      free_disk: host.freeDisk,
      services: JSON.stringify(host.services),
      last_seen: now,
    };
    await this.#db
      .insertInto('hosts')
      .values({ host: host.host, first_seen: now, since: now, ...said })
      .onConflict((conflict) =>
        conflict.column('host').doUpdateSet({
          ...said,
          since: sql<string>`iif(hosts.boot_id = excluded.boot_id and hosts.agent = excluded.agent
            and hosts.instance = excluded.instance, hosts.since, excluded.since)`,
        }),
      )
      .execute();
  }

  async list(): Promise<HostRecord[]> {
    const rows = await this.#db.selectFrom('hosts').selectAll().orderBy('host').execute();
    return rows.map((row) => ({
      host: row.host,
      instance: row.instance,
      labels: JSON.parse(row.labels) as Labels,
      platform: row.platform,
      agent: row.agent,
      bootId: row.boot_id,
      freeDisk: row.free_disk,
      services: JSON.parse(row.services) as HostRecord['services'],
      lastSeen: row.last_seen,
      since: row.since,
      letIn: row.let_in,
    }));
  }

  /** What its agent has reported since it said hello. */
  async reported(host: string, service: string, current: string | null): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const row = await trx
        .selectFrom('hosts')
        .select('services')
        .where('host', '=', host)
        .executeTakeFirst();
      if (row === undefined) return;
      const known = JSON.parse(row.services) as HostRecord['services'];
      const before = known.find((each) => each.service === service);
      if ((before?.current ?? null) === current) return;
      const releases = new Set([...(current === null ? [] : [current]), ...(before?.releases ?? [])]);
      const others = known.filter((each) => each.service !== service);
      const services = JSON.stringify([...others, { service, current, releases: [...releases] }]);
      await trx.updateTable('hosts').set({ services }).where('host', '=', host).execute();
    });
  }

  async seen(host: string): Promise<void> {
    await this.#db
      .updateTable('hosts')
      .set({ last_seen: new Date().toISOString() })
      .where('host', '=', host)
      .execute();
  }

  /** With where a rollback on it would go: whatever comes under this name later inherits nothing. */
  forget(host: string): Promise<boolean> {
    return this.#db.transaction().execute((trx) => forgetHost(trx, host));
  }
}

/** Whether it was known. */
export async function forgetHost(trx: Kysely<Tables>, host: string): Promise<boolean> {
  await trx.deleteFrom('rollback_points').where('host', '=', host).execute();
  await trx.deleteFrom('out_hosts').where('host', '=', host).execute();
  const gone = await trx.deleteFrom('hosts').where('host', '=', host).executeTakeFirstOrThrow();
  return gone.numDeletedRows > 0n;
}
