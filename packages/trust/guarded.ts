/** Files that hold secrets: made 0600 in folders of 0700, and refused when others may read them. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';

/** Undefined where there is no such file. Throws `key_too_open` where anybody but its owner may read or write it. */
export function readGuarded(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { mode, uid } = fstatSync(file);
    const mine = uid === process.getuid?.() || uid === 0;
    if ((mode & 0o077) !== 0 || !mine)
      throw new FleetError(
        'key_too_open',
        `${path} may be read by others (mode ${(mode & 0o777).toString(8)}, uid ${uid})`,
        {
          next: `look who has read it; then chmod 600 ${path}, or make a new key`,
        },
      );
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}

/** Replaces the file as a whole; it is on disk when this returns. */
export function writeGuarded(path: string, text: string): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  // Whoever put something there might read what is written to it.
  rmSync(temporary, { force: true });
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
