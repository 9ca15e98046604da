/** A folder as a source: copied, so that a build neither sees later edits nor leaves anything in it. */
import { createHash, hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, lstat, mkdir, readdir, readFile, readlink, realpath, symlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface Copied {
  /** sha256 over names, kinds, executable bits and content of what was copied. */
  digest: string;
  /** When anything in it was last changed. */
  changedAt: Date;
  notes: string[];
}

const SMALL = 1024 * 1024;

/**
 * Everything but `.git` and fleet's own folders (its data directory may lie in the source: copied, it would make every build
 * a change). What the package leaves out is copied, because the build may need it. Throws FleetError `source_failed`.
 */
export async function copyFolder(
  from: string,
  into: string,
  own: readonly string[],
  signal: AbortSignal,
): Promise<Copied> {
  const whole = createHash('sha256');
  const copied: Copied = { digest: '', changedAt: new Date(0), notes: [] };
  try {
    const source = await realpath(from);
    const apart = await inside(source, own);
    await copy('');
    copied.digest = whole.digest('hex');
    return copied;

    async function copy(folder: string): Promise<void> {
      await mkdir(join(into, folder));
      const names = (await readdir(join(source, folder))).sort();
      for (const name of names) {
        signal.throwIfAborted();
        const path = join(folder, name);
        if (name === '.git' || apart.includes(join(source, path))) continue;
        const kind = await copyEntry(path);
        if (kind === undefined) copied.notes.push(`${path} is no file, folder or link, and was left out`);
        else whole.update(`${JSON.stringify([path, ...kind])}\n`);
      }
    }

    /** What is there, read from the copy: a file that is edited meanwhile must not be described as it is later. */
    async function copyEntry(path: string): Promise<string[] | undefined> {
      const [there, here] = [join(source, path), join(into, path)];
      const found = await lstat(there);
      if (found.mtime > copied.changedAt) copied.changedAt = found.mtime;
      if (found.isDirectory()) {
        await copy(path);
        return ['folder'];
      }
      if (found.isSymbolicLink()) {
        const target = await readlink(there);
        await symlink(target, here);
        return ['link', target];
      }
      if (!found.isFile()) return undefined;
      await copyFile(there, here, constants.COPYFILE_FICLONE);
      return [found.mode & 0o100 ? 'program' : 'file', await digestOf(here, found.size)];
    }
  } catch (cause) {
    if (signal.aborted) throw new FleetError('aborted', 'the build was aborted', { cause });
    if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') throw cause;
    throw new FleetError(
      'source_failed',
      `the folder ${from} cannot be copied: ${(cause as Error).message}`,
      {
        next: 'See that it is there, and that the user whom the controller runs as may read all of it.',
        cause,
      },
    );
  }
}

/** Where fleet's own folders lie in the source: each with the data directory that holds it, if that is not the source itself. */
async function inside(source: string, own: readonly string[]): Promise<string[]> {
  const folders = await Promise.all(own.map((folder) => realpath(folder).catch(() => resolve(folder))));
  const below = (path: string) => path.startsWith(`${source}/`);
  return folders.map((folder) => (below(dirname(folder)) ? dirname(folder) : folder)).filter(below);
}

async function digestOf(path: string, size: number): Promise<string> {
  if (size <= SMALL) return hash('sha256', await readFile(path));
  const content = createHash('sha256');
  await pipeline(createReadStream(path), content);
  return content.digest('hex');
}
