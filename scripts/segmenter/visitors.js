// The database, as all versions of the service use it.
import { DatabaseSync } from 'node:sqlite';

export function open(file) {
  const database = new DatabaseSync(file);
  database.exec('pragma journal_mode = wal; pragma busy_timeout = 2000');
  return database;
}
