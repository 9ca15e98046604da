/** Writing so that a power cut leaves either the old or the new, never half of one. */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Disk } from './disk.ts';

/** A name that nobody else made: for what is renamed into place, or out of the way. */
export function randomName(): string {
  return randomBytes(9).toString('base64url');
}

/** After this the names in a directory, or the content of a file, are on the disk. */
export async function syncPath(disk: Disk, path: string): Promise<void> {
  const handle = await disk.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory and those above it, and has their names on the disk. */
export async function makeDirectory(disk: Disk, path: string, mode: number): Promise<void> {
  const topmost = await disk.mkdir(path, { recursive: true, mode });
  if (topmost === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    await syncPath(disk, dirname(made));
    if (made === topmost) return;
  }
}

/** Files and directories of a tree, however deep; what links lead to is left alone. */
export async function syncTree(disk: Disk, path: string): Promise<void> {
  const found = await disk.lstat(path);
  if (found.isSymbolicLink()) return;
  if (found.isDirectory())
    for (const name of await disk.readdir(path)) await syncTree(disk, join(path, name));
  await syncPath(disk, path);
}

/** Temporary name, synced, renamed over `path`, directory synced. Throws `disk_full`. */
export async function writeDurably(
  disk: Disk,
  path: string,
  content: string | Buffer,
  mode = 0o600,
): Promise<void> {
  const temporary = `${path}.${randomName()}.tmp`;
  try {
    const handle = await disk.open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await disk.rename(temporary, path);
    await syncPath(disk, dirname(path));
  } catch (error) {
    await disk.rm(temporary, { force: true });
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
