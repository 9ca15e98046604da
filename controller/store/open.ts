/**
 * Opens the one database: durable settings, read back; numbered migrations; a newer database is refused; damage is noticed.
 */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import type { Tables } from './tables.ts';

export type Db = Kysely<Tables>;

export interface OpenedStore {
  db: Db;
  /** This fleet's id: made with the database, so that a fresh one is another fleet to the agents. */
  fleet: string;
  /** Raised at each start; agents refuse commands of an earlier one. */
  epoch: number;
  close(): Promise<void>;
}

export async function openStore(file: string): Promise<OpenedStore> {
  const sqlite = connect(file);
  try {
    migrate(sqlite, file);
    const { fleet, epoch } = nextEpoch(sqlite);
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: sqlite }) });
    return { db, fleet, epoch, close: () => db.destroy() };
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

/**
 * SQLite as it is built into better-sqlite3 does not sync a WAL commit, so a power cut would lose what was acknowledged.
 * Each setting is therefore read back: a database that does not take it is not used.
 */
function connect(file: string): Database.Database {
  let sqlite: Database.Database;
  try {
    sqlite = new Database(file);
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma('foreign_keys = ON');
    sqlite.pragma('busy_timeout = 200');
  } catch (cause) {
    throw damaged(file, cause instanceof Error ? cause.message : String(cause), cause);
  }
  const wanted = { journal_mode: 'wal', synchronous: 2, foreign_keys: 1, busy_timeout: 200 };
  for (const [name, value] of Object.entries(wanted)) {
    const actual = sqlite.pragma(name, { simple: true });
    if (actual !== value) throw damaged(file, `${name} is ${String(actual)}, not ${value}`);
  }
  const check = sqlite.pragma('quick_check', { simple: true });
  if (check !== 'ok') throw damaged(file, String(check));
  return sqlite;
}

function damaged(file: string, what: string, cause?: unknown): FleetError {
  return new FleetError('internal', `the database ${file} cannot be used: ${what}`, {
    next: 'restore it from a backup, or move it away to begin with an empty one',
    cause,
  });
}

const MIGRATIONS = join(import.meta.dirname, 'migrations');

function migrate(sqlite: Database.Database, file: string): void {
  const files = readdirSync(MIGRATIONS)
    .filter((name) => /^\d{4}\.sql$/.test(name))
    .sort();
  const have = Number(sqlite.pragma('user_version', { simple: true }));
  if (have > files.length) {
    throw new FleetError(
      'newer_database',
      `${file} was written by a newer fleet (schema ${have}, this one knows ${files.length})`,
      {
        next: 'start the newer program again, or restore the backup that was made before the upgrade',
      },
    );
  }
  sqlite.transaction(() => {
    for (const name of files.slice(have)) {
      sqlite.exec(readFileSync(join(MIGRATIONS, name), 'utf8'));
      sqlite.pragma(`user_version = ${Number(name.slice(0, 4))}`);
    }
  })();
}

function nextEpoch(sqlite: Database.Database): { fleet: string; epoch: number } {
  return sqlite.transaction(() => {
    const read = (key: string) =>
      (sqlite.prepare('select value from meta where key = ?').get(key) as { value: string } | undefined)
        ?.value;
    const write = sqlite.prepare(
      'insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value',
    );
    const fleet = read('fleet') ?? randomUUID();
    const epoch = Number(read('epoch') ?? 0) + 1;
    write.run('fleet', fleet);
    write.run('epoch', String(epoch));
    return { fleet, epoch };
  })();
}
