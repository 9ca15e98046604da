/**
 * One controller a data directory. The lock is SQLite's own on an empty database: the system frees it when the process
 * ends, however it ends, so there is no stale one and nothing to unlock by hand.
 */
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';

/** Held until the returned function is called. Throws `data_in_use`. */
export function lockData(data: string): () => void {
  const lock = new Database(join(data, 'lock.sqlite'), { timeout: 0 });
  try {
    lock.exec('begin exclusive');
  } catch (cause) {
    lock.close();
    throw new FleetError('data_in_use', `another controller uses ${data}`, {
      next: 'stop that one first, or give this one another `data` in controller.yaml',
      cause,
    });
  }
  return () => lock.close();
}
