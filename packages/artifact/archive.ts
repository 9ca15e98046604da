/** The uncompressed archive of a folder, in pieces that are worth a compressor's while. */
import { createHash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { BLOCK, END, headerOf, paddingOf } from './form.ts';
import type { FileEntry } from './inspect.ts';
import { type Chosen, cannotPack } from './select.ts';

const ZEROS = Buffer.alloc(BLOCK);
/** What sha256 gives where there is nothing. */
const EMPTY = hash('sha256', '');
const SLAB = 1024 * 1024;
/** Slabs go round: a piece that was yielded holds until this many more have been. */
export const VALID = 4;
/** NONBLOCK: a named pipe that took a file's place is not waited for. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Yields the archive (each piece holds for VALID turns), and adds each entry to `files` once it is packed, files with what was found in them. */
export function* archiveOf(folder: string, chosen: Chosen[], files: Entry[]): Generator<Buffer, void> {
  const slab = new Slab();
  for (const entry of chosen) {
    if (entry.type === 'file') files.push(yield* packFile(folder, entry.path, slab));
    else {
      yield* slab.put(headerOf(entry));
      files.push(entry);
    }
  }
  yield* slab.put(END);
  yield slab.take();
}

function* packFile(folder: string, path: string, slab: Slab): Generator<Buffer, FileEntry> {
  const name = JSON.stringify(path);
  const fd = open(`${folder}/${path}`, name);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw cannotPack(`${name} changed while it was packed`);
    const found = { type: 'file', path, mode: stat.mode & 0o100 ? 0o755 : 0o644, size: stat.size } as const;
    yield* slab.put(headerOf(found));
    const sha256 = yield* packContent(fd, stat.size, name, slab);
    yield* slab.put(ZEROS.subarray(0, paddingOf(stat.size)));
    return { ...found, sha256 };
  } finally {
    closeSync(fd);
  }
}

/** Reads straight into the slab; returns the sha256. The header has promised a size, so fewer bytes are refused. */
function* packContent(fd: number, size: number, name: string, slab: Slab): Generator<Buffer, string> {
  const whole = size > SLAB ? createHash('sha256') : undefined;
  let sha256 = EMPTY;
  for (let left = size; left > 0; ) {
    yield* slab.makeRoom(Math.min(left, SLAB));
    const piece = slab.fill(left);
    for (let at = 0; at < piece.length; ) {
      const read = readSync(fd, piece, at, piece.length - at, null);
      if (read === 0) throw cannotPack(`${name} shrank while it was packed`);
      at += read;
    }
    left -= piece.length;
    if (whole) whole.update(piece);
    else sha256 = hash('sha256', piece, 'hex');
  }
  return whole?.digest('hex') ?? sha256;
}

function open(full: string, name: string): number {
  try {
    return openSync(full, READ);
  } catch (cause) {
    throw cannotPack(`${name} cannot be read (${(cause as Error).message})`, cause);
  }
}

/** Where the archive is put together. Its buffers are used in turn: new ones for each piece would cost more than the reading. */
class Slab {
  readonly #buffers = Array.from({ length: VALID + 1 }, () => Buffer.allocUnsafeSlow(SLAB));
  #turn = 0;
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
    return this.#buffers[this.#turn]!.subarray(from, this.#filled);
  }

  take(): Buffer {
    const full = this.#buffers[this.#turn]!.subarray(0, this.#filled);
    this.#turn = (this.#turn + 1) % this.#buffers.length;
    this.#filled = 0;
    return full;
  }
}
