import { mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AdminState } from '../balancer.ts';

/** What each server was told, kept in a file: a host that was hidden stays hidden when the program starts again. */
export interface AdminStates {
  of(backend: string, server: string): AdminState;
  /** On disk when it resolves. */
  set(backend: string, server: string, admin: AdminState): Promise<void>;
}

/** Only what is not `ready` is in the file, as `{ "backend/server": "drain" }`. */
export async function openAdminStates(file: string): Promise<AdminStates> {
  let hidden = await read(file);
  let lastWrite: Promise<void> = Promise.resolve();

  async function change(key: string, admin: AdminState): Promise<void> {
    const next = new Map(hidden);
    if (admin === 'ready') next.delete(key);
    else next.set(key, admin);
    await write(file, next);
    hidden = next;
  }
  return {
    of: (backend, server) => hidden.get(`${backend}/${server}`) ?? 'ready',
    set(backend, server, admin) {
      const written = lastWrite.then(() => change(`${backend}/${server}`, admin));
      lastWrite = written.catch(() => {});
      return written;
    },
  };
}

async function read(file: string): Promise<Map<string, AdminState>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  try {
    return parse(text);
  } catch (cause) {
    // Going on without it would show hosts that somebody took out.
    throw new FleetError('bad_config', `${file} does not say which servers are hidden: it is damaged`, {
      next: 'Find out which hosts must stay out, remove the file, start the controller and hide them again.',
      cause,
    });
  }
}

function parse(text: string): Map<string, AdminState> {
  const entries = Object.entries(JSON.parse(text) as Record<string, unknown>);
  return new Map(
    entries.map(([key, admin]) => {
      if (admin !== 'drain' && admin !== 'maint') throw new Error(`${key} is ${String(admin)}`);
      return [key, admin];
    }),
  );
}

async function write(file: string, hidden: Map<string, AdminState>): Promise<void> {
  const folder = path.dirname(file);
  await mkdir(folder, { recursive: true });
  const fresh = `${file}.new`;
  await using handle = await open(fresh, 'w', 0o600);
  await handle.writeFile(`${JSON.stringify(Object.fromEntries(hidden), null, 2)}\n`);
  await handle.sync();
  await rename(fresh, file);
  await using directory = await open(folder, 'r');
  await directory.sync();
}
