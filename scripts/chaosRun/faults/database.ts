/** Somebody else who writes to the controller's database, and does not end. */
import Database from 'better-sqlite3';
import type { World } from '../world.ts';
import type { Fault } from './fault.ts';

const TRIES = 50;
const PAUSE_MS = 20;

export function lockedDatabase({ database }: World): Fault {
  let held: Database.Database | undefined;
  return {
    kind: 'store.locked',
    host: null,
    harmless: true,
    takes: ['store'],
    async begin() {
      const other = new Database(database, { timeout: 0 });
      for (let tries = 0; tries < TRIES; tries += 1) {
        try {
          other.exec('begin immediate');
          held = other;
          return;
        } catch {
          // The controller writes at this moment.
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      }
      other.close();
    },
    end() {
      held?.exec('rollback');
      held?.close();
    },
  };
}
