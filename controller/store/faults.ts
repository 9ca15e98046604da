/** What goes wrong with the database itself, in words for people: no room, held by somebody else, broken. */
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';
import type { SqliteDatabase } from 'kysely';

const MOST_PREPARED = 500;

/** Told of damage and of errors of the disk. */
export type OnBroken = (fault: FleetError) => void;

/** Nothing could be written, nothing that was acknowledged is lost, and later it may work again. */
export function isStoreFault(error: unknown): error is FleetError {
  return error instanceof FleetError && (error.code === 'database_full' || error.code === 'database_busy');
}

export function unusable(file: string, what: string, cause?: unknown): FleetError {
  return new FleetError('bad_database', `the database ${file} cannot be used: ${what}`, {
    next: 'bring back a backup: fleet restore BACKUP --config controller.yaml --replace, which keeps the old one aside',
    cause,
  });
}

/** Undefined for what is no fault of the database: a mistake in a statement, a constraint. */
export function faultOf(error: unknown, file: string): FleetError | undefined {
  if (!(error instanceof Database.SqliteError)) return undefined;
  const { code, message } = error;
  // The shared memory beside the log could not grow: that is no room too.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')
    return new FleetError('database_full', `no room left on the disk for the database ${file}`, {
      next: 'make room there; what was under way goes on by itself',
      cause: error,
    });
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
    return new FleetError('database_busy', `another process holds the database ${file}`, {
      next: 'end that process (a sqlite3 shell, a copying job), then try again; fleet backup makes a copy without harm',
      cause: error,
    });
  if (/^SQLITE_(CORRUPT|NOTADB|IOERR|READONLY)/.test(code))
    return unusable(file, `${message} (${code})`, error);
  return undefined;
}

/** Commits, each of a few pages. */
const CHECKPOINT_EVERY = 200;

/** The database as kysely uses it, with its faults told. */
export function guardDatabase(sqlite: Database.Database, file: string, onBroken: OnBroken): SqliteDatabase {
  const prepared = new Map<string, Database.Statement>();
  function guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const fault = faultOf(error, file);
      if (fault?.code === 'bad_database') onBroken(fault);
      throw fault ?? error;
    }
  }
  let commits = 0;
  /** Into the database from its log. SQLite would do so by itself, and keep to itself that the disk failed. */
  function written(): void {
    if (sqlite.inTransaction || ++commits < CHECKPOINT_EVERY) return;
    commits = 0;
    try {
      sqlite.pragma('wal_checkpoint(PASSIVE)');
    } catch (error) {
      // What was committed is committed. For want of room it is done later.
      const fault = faultOf(error, file);
      if (fault?.code === 'bad_database') onBroken(fault);
    }
  }
  return {
    close: () => void sqlite.close(),
    prepare(sql) {
      const statement = prepared.get(sql) ?? guarded(() => sqlite.prepare(sql));
      // The same few hundred come again and again; to compile one takes longer than to run it.
      if (prepared.size >= MOST_PREPARED) prepared.clear();
      prepared.set(sql, statement);
      // After some faults SQLite has rolled back by itself, and complains of being asked again.
      const over = () => sql === 'rollback' && !sqlite.inTransaction;
      const writes = sql === 'commit' || !statement.readonly;
      const doing = <T>(work: () => T): T => {
        const done = guarded(work);
        if (writes) written();
        return done;
      };
      return {
        reader: statement.reader,
        all: (parameters) => doing(() => statement.all(parameters)),
        run: (parameters) =>
          over() ? { changes: 0, lastInsertRowid: 0 } : doing(() => statement.run(parameters)),
        iterate: (parameters) => statement.iterate(parameters),
      };
    },
  };
}
