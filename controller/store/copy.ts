/** A copied database, before and outside of its use as a store: opening a store raises its epoch, and this does not. */
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';
import { findDamage } from './damage.ts';
import { unusable } from './faults.ts';

export interface ArtifactFiles {
  service: string;
  version: string;
  artifactPath: string;
  manifestPath: string;
}

/** Looks at all of a fresh copy, makes one file of it, and tells which artifacts it names. Throws `bad_backup`. */
export function inspectCopy(file: string): ArtifactFiles[] {
  const sqlite = new Database(file, { fileMustExist: true });
  try {
    const damage = findDamage(sqlite);
    if (damage !== null)
      throw new FleetError('bad_backup', `the copy of the database is damaged: ${damage}`, {
        next: 'the database itself is perhaps damaged too: start the controller again, which looks at all of it',
      });
    sqlite.pragma('journal_mode = DELETE');
    return sqlite
      .prepare(
        'select service, version, artifact_path as artifactPath, manifest_path as manifestPath from artifacts order by service, version',
      )
      .all() as ArtifactFiles[];
  } finally {
    sqlite.close();
  }
}

/** Writes into the database that it comes from a backup, and from when. Throws `bad_database`. */
export function markRestored(file: string, takenAt: string): void {
  const sqlite = new Database(file, { fileMustExist: true });
  try {
    sqlite
      .prepare(
        "insert into meta (key, value) values ('restored_from', ?) on conflict (key) do update set value = excluded.value",
      )
      .run(takenAt);
  } catch (error) {
    throw unusable(file, error instanceof Error ? error.message : String(error), error);
  } finally {
    sqlite.close();
  }
}
