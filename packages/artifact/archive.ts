/** The uncompressed archive of a folder, in pieces that are worth a compressor's while. */
import { createHash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { END, headerOf, paddingOf } from './form.ts';
import { type Chosen, cannotPack } from './select.ts';

const SLAB = 1024 * 1024;
/** NONBLOCK: a named pipe that took a file's place is not waited for. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Yields the archive, and adds each entry to `files` as it is packed, files with their digest. */
export function* archiveOf(folder: string, chosen: Chosen[], files: Entry[]): Generator<Buffer, void> {
  const slab = new Slab();
  for (const entry of chosen) {
    yield* slab.put(headerOf(entry));
    if (entry.type !== 'file') files.push(entry);
    else {
      files.push({ ...entry, sha256: yield* contentOf(join(folder, entry.path), entry, slab) });
      yield* slab.put(Buffer.alloc(paddingOf(entry.size)));
    }
  }
  yield* slab.put(END);
  yield slab.take();
}

/** Reads straight into the slab; returns the sha256. The header has promised a size, so another size is refused. */
function* contentOf(
  full: string,
  entry: { path: string; size: number },
  slab: Slab,
): Generator<Buffer, string> {
  const name = JSON.stringify(entry.path);
  const fd = open(full, name);
  try {
    if (fstatSync(fd).size !== entry.size) throw cannotPack(`${name} changed while it was packed`);
    const whole = entry.size > SLAB ? createHash('sha256') : undefined;
    let sha256 = hash('sha256', '');
    for (let left = entry.size; left > 0; ) {
      yield* slab.makeRoom(Math.min(left, SLAB));
      const piece = slab.fill(left);
      for (let at = 0; at < piece.length; ) {
        const read = readSync(fd, piece, at, piece.length - at, null);
        if (read === 0) throw cannotPack(`${name} changed while it was packed`);
        at += read;
      }
      left -= piece.length;
      if (whole) whole.update(piece);
      else sha256 = hash('sha256', piece, 'hex');
    }
    return whole?.digest('hex') ?? sha256;
  } finally {
    closeSync(fd);
  }
}

function open(full: string, name: string): number {
  try {
    return openSync(full, READ);
  } catch (cause) {
    throw cannotPack(`${name} cannot be read (${(cause as Error).message})`, cause);
  }
}

class Slab {
  #buffer = Buffer.allocUnsafeSlow(SLAB);
  #filled = 0;

  *put(bytes: Buffer): Generator<Buffer, void> {
    yield* this.makeRoom(bytes.length);
    bytes.copy(this.fill(bytes.length));
  }

  /** At most a slab. */
  *makeRoom(size: number): Generator<Buffer, void> {
    if (SLAB - this.#filled < size) yield this.take();
  }

  /** The next bytes, at most `size`, for the caller to write into. */
  fill(size: number): Buffer {
    const from = this.#filled;
    this.#filled = Math.min(SLAB, from + size);
    return this.#buffer.subarray(from, this.#filled);
  }

  /** What is in it, for good: the next bytes go into a fresh slab, because the compressor still reads this one. */
  take(): Buffer {
    const full = this.#buffer.subarray(0, this.#filled);
    this.#buffer = Buffer.allocUnsafeSlow(SLAB);
    this.#filled = 0;
    return full;
  }
}
