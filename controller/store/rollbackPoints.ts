/** Rollback points: each time a version was verified on a host. */
import type { KeptValues } from '@fleet/protocol/words.ts';
import type { Kysely } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface RollbackPoint {
  deployment: number;
  host: string;
  version: string;
  identity: string;
  values: KeptValues;
  at: string;
  /** The deployment by which people went back from it. */
  leftBy: number | null;
}

export interface NewPoint
  extends Pick<RollbackPoint, 'deployment' | 'host' | 'version' | 'identity' | 'values'> {
  service: string;
  environment: string;
}

export class RollbackPoints {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  /** Newest first. */
  async list(service: string, environment: string): Promise<RollbackPoint[]> {
    const rows = await this.#db
      .selectFrom('rollback_points')
      .selectAll()
      .where('service', '=', service)
      .where('environment', '=', environment)
      .orderBy('id', 'desc')
      .limit(5000)
      .execute();
    return rows.map((row) => ({
      deployment: row.deployment,
      host: row.host,
      version: row.version,
      identity: row.identity,
      values: JSON.parse(row.variables) as KeptValues,
      at: row.at,
      leftBy: row.left_by,
    }));
  }

  /** Every version that was ever verified, by `onHost`. */
  async verified(service: string, environment: string): Promise<Set<string>> {
    const rows = await this.#db
      .selectFrom('rollback_points')
      .select(['host', 'version'])
      .distinct()
      .where('service', '=', service)
      .where('environment', '=', environment)
      .execute();
    return new Set(rows.map(({ host, version }) => onHost(version, host)));
  }
}

/** How a host and a version are named together in `verified`. */
export const onHost = (version: string, host: string) => `${version} on ${host}`;

/** Part of the transaction that ends a `record` step. */
export async function addRollbackPoint(trx: Kysely<Tables>, point: NewPoint): Promise<void> {
  await trx
    .insertInto('rollback_points')
    .values({
      deployment: point.deployment,
      service: point.service,
      environment: point.environment,
      host: point.host,
      version: point.version,
      identity: point.identity,
      variables: JSON.stringify(point.values),
      at: new Date().toISOString(),
    })
    .execute();
}

/** People went back from this version on this host: it is not where the next rollback goes. */
export async function leaveVersion(
  trx: Kysely<Tables>,
  left: { service: string; environment: string; host: string; version: string; deployment: number },
): Promise<void> {
  await trx
    .updateTable('rollback_points')
    .set({ left_by: left.deployment })
    .where('service', '=', left.service)
    .where('environment', '=', left.environment)
    .where('host', '=', left.host)
    .where('version', '=', left.version)
    .where('left_by', 'is', null)
    .execute();
}
