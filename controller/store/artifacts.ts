/** Artifacts: the versions that have been built, and where their files lie. */
import { basename, join } from 'node:path';
import type { SignedRelease } from '@fleet/protocol/trust.ts';
import type { Selectable } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface ArtifactRecord {
  service: string;
  version: string;
  identity: string;
  sourceKey: string;
  ref: string;
  commit: string | null;
  platform: string;
  /** Bytes of the compressed artifact. */
  size: number;
  artifactPath: string;
  manifestPath: string;
  notes: string[];
  builtAt: string;
  /** Null for what was built in development. */
  signature: SignedRelease | null;
}

export class Artifacts {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async add(artifact: ArtifactRecord): Promise<void> {
    await this.#db
      .insertInto('artifacts')
      .values({
        service: artifact.service,
        version: artifact.version,
        identity: artifact.identity,
        source_key: artifact.sourceKey,
        ref: artifact.ref,
        commit_id: artifact.commit,
        platform: artifact.platform,
        size: artifact.size,
        artifact_path: artifact.artifactPath,
        manifest_path: artifact.manifestPath,
        notes: JSON.stringify(artifact.notes),
        built_at: artifact.builtAt,
        signature: artifact.signature && JSON.stringify(artifact.signature),
      })
      // The same content again, from another source: the newer source is the better key.
      .onConflict((conflict) =>
        conflict.columns(['service', 'version']).doUpdateSet({
          source_key: artifact.sourceKey,
          signature: artifact.signature && JSON.stringify(artifact.signature),
        }),
      )
      .execute();
  }

  /** By another key than before, or for the first time. */
  async signAnew(signed: readonly SignedRelease[]): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      for (const signature of signed)
        await trx
          .updateTable('artifacts')
          .set({ signature: JSON.stringify(signature) })
          .where('service', '=', signature.statement.service)
          .where('version', '=', signature.statement.version)
          .execute();
    });
  }

  /** The files of every version lie in another folder now, by service, under the names that they had. */
  async moveFiles(folder: string): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const rows = await trx.selectFrom('artifacts').selectAll().execute();
      for (const { service, version, artifact_path, manifest_path } of rows)
        await trx
          .updateTable('artifacts')
          .set({
            artifact_path: join(folder, service, basename(artifact_path)),
            manifest_path: join(folder, service, basename(manifest_path)),
          })
          .where('service', '=', service)
          .where('version', '=', version)
          .execute();
    });
  }

  async byVersion(service: string, version: string): Promise<ArtifactRecord | undefined> {
    const row = await this.#db
      .selectFrom('artifacts')
      .selectAll()
      .where('service', '=', service)
      .where('version', '=', version)
      .executeTakeFirst();
    return row && record(row);
  }

  async bySourceKey(service: string, sourceKey: string): Promise<ArtifactRecord | undefined> {
    const row = await this.#db
      .selectFrom('artifacts')
      .selectAll()
      .where('service', '=', service)
      .where('source_key', '=', sourceKey)
      .orderBy('built_at', 'desc')
      .executeTakeFirst();
    return row && record(row);
  }

  async list(service?: string): Promise<ArtifactRecord[]> {
    let query = this.#db.selectFrom('artifacts').selectAll().orderBy('service').orderBy('built_at', 'desc');
    if (service !== undefined) query = query.where('service', '=', service);
    return (await query.execute()).map(record);
  }
}

function record(row: Selectable<Tables['artifacts']>): ArtifactRecord {
  return {
    service: row.service,
    version: row.version,
    identity: row.identity,
    sourceKey: row.source_key,
    ref: row.ref,
    commit: row.commit_id,
    platform: row.platform,
    size: row.size,
    artifactPath: row.artifact_path,
    manifestPath: row.manifest_path,
    notes: JSON.parse(row.notes) as string[],
    builtAt: row.built_at,
    signature: row.signature === null ? null : (JSON.parse(row.signature) as SignedRelease),
  };
}
