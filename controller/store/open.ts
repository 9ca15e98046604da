/**
 * Opens the one database: durable settings, read back; numbered migrations; a newer database is refused; damage is noticed.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { findDamage } from './damage.ts';
import { faultOf, guardDatabase, type OnBroken, unusable } from './faults.ts';
import type { Tables } from './tables.ts';

export type Db = Kysely<Tables>;

export interface OpenedStore {
  db: Db;
  /** This fleet's id: made with the database, so that a fresh one is another fleet to the agents. */
  fleet: string;
  /** Made with the database too: by it a changed secret shows, and nothing of the secret does. */
  fingerprintKey: string;
  /** Raised at each start; agents refuse commands of an earlier one. */
  readonly epoch: number;
  /** When the backup was made that this database was restored from; null where it was not. */
  restoredFrom: string | null;
  /** For an agent that has obeyed a later epoch than this one. False where it has not, and nothing is written. Throws `bad_message` on a lie. */
  raiseEpochAbove(seen: number): Promise<boolean>;
  /** Writes a consistent copy of the database to a new file, while it is used. */
  copyTo(file: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts that a database may have lost when it was restored. An agent that claims more lies: believed, it would use up the
 * numbers that there are, and no other agent would take a command any more.
 */
const MOST_STARTS_LOST = 100_000;

/** `onBroken`: damage, or an error of the disk, at run time. What is not synced now may never be: nothing is tried again. */
export async function openStore(file: string, onBroken: OnBroken = () => {}): Promise<OpenedStore> {
  const sqlite = connect(file);
  try {
    migrate(sqlite, file);
    const { fleet, fingerprintKey, epoch, restoredFrom } = nextEpoch(sqlite);
    const database = guardDatabase(sqlite, file, onBroken);
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
    let current = epoch;
    return {
      db,
      fleet,
      fingerprintKey,
      restoredFrom,
      get epoch() {
        return current;
      },
      async raiseEpochAbove(seen) {
        if (seen <= current) return false;
        if (seen - current > MOST_STARTS_LOST)
          throw new FleetError(
            'bad_message',
            `an agent claims epoch ${seen}, and this controller is at ${current}`,
          );
        const next = seen + 1;
        // Two agents may say hello at once: the higher one stays, whoever writes last.
        await db
          .updateTable('meta')
          .set({ value: String(next) })
          .where('key', '=', 'epoch')
          .where(sql<number>`cast(value as integer)`, '<', next)
          .execute();
        current = Math.max(current, next);
        return true;
      },
      copyTo: async (to) => void (await sqlite.backup(to)),
      close: () => db.destroy(),
    };
  } catch (error) {
    sqlite.close();
    throw faultOf(error, file) ?? error;
  }
}

/**
 * SQLite as it is built into better-sqlite3 does not sync a WAL commit, so a power cut would lose what was acknowledged.
 * Each setting is therefore read back: a database that does not take it is not used.
 */
function connect(file: string): Database.Database {
  let sqlite: Database.Database;
  try {
    keepToOneself(file);
    sqlite = new Database(file);
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma('foreign_keys = ON');
    sqlite.pragma('busy_timeout = 200');
    // guardDatabase does it, and hears of errors.
    sqlite.pragma('wal_autocheckpoint = 0');
  } catch (cause) {
    throw (
      faultOf(cause, file) ?? unusable(file, cause instanceof Error ? cause.message : String(cause), cause)
    );
  }
  const wanted = {
    journal_mode: 'wal',
    synchronous: 2,
    foreign_keys: 1,
    busy_timeout: 200,
    wal_autocheckpoint: 0,
  };
  for (const [name, value] of Object.entries(wanted)) {
    const actual = sqlite.pragma(name, { simple: true });
    if (actual !== value) throw unusable(file, `${name} is ${String(actual)}, not ${value}`);
  }
  const damage = findDamage(sqlite);
  if (damage !== null) throw unusable(file, damage);
  return sqlite;
}

/** It holds the values of variables, and the key of their fingerprints. The files that SQLite puts beside it are like it. */
function keepToOneself(file: string): void {
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
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

function nextEpoch(sqlite: Database.Database): {
  fleet: string;
  fingerprintKey: string;
  epoch: number;
  restoredFrom: string | null;
} {
  return sqlite.transaction(() => {
    const read = (key: string) =>
      (sqlite.prepare('select value from meta where key = ?').get(key) as { value: string } | undefined)
        ?.value;
    const write = sqlite.prepare(
      'insert into meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value',
    );
    const fleet = read('fleet') ?? randomUUID();
    const epoch = Number(read('epoch') ?? 0) + 1;
    const fingerprintKey = read('fingerprint_key') ?? randomBytes(32).toString('hex');
    write.run('fleet', fleet);
    write.run('fingerprint_key', fingerprintKey);
    write.run('epoch', String(epoch));
    return { fleet, fingerprintKey, epoch, restoredFrom: read('restored_from') ?? null };
  })();
}
