/** Writing so that a power cut leaves either the old or the new, never half of one. */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';

/** A name that nobody else made: for what is renamed into place, or out of the way. */
export function randomName(): string {
  return randomBytes(9).toString('base64url');
}

/** After this the names in a directory, or the content of a file, are on the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory and those above it, and has their names on the disk. */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  const topmost = await mkdir(path, { recursive: true, mode });
  if (topmost === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    await syncPath(dirname(made));
    if (made === topmost) return;
  }
}

/** Files and directories of a tree, however deep; what links lead to is left alone. */
export async function syncTree(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.isSymbolicLink()) return;
  if (found.isDirectory()) for (const name of await readdir(path)) await syncTree(join(path, name));
  await syncPath(path);
}

/** Temporary name, synced, renamed over `path`, directory synced. Throws `disk_full`. */
export async function writeDurably(path: string, content: string | Buffer, mode = 0o600): Promise<void> {
  const temporary = `${path}.${randomName()}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncPath(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw diskError(error, path);
  }
}

/** The error's code as the system calls give it: ENOENT, EEXIST. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** What a failed write means to the person who deploys. */
export function diskError(error: unknown, path: string): FleetError {
  const errno = errnoOf(error);
  if (errno !== 'ENOSPC' && errno !== 'EDQUOT') return asFleetError(error);
  return new FleetError('disk_full', `no room left on the disk to write ${path}`, {
    next: 'Make room on the host, then deploy again.',
    cause: error,
  });
}

/** `undefined` where there is nothing of that name. */
export async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
