/** An archive, read forwards and decompressed as it is needed. Holds little more than a megabyte of it. */
import { readSync } from 'node:fs';
import { pipeline, Readable, type Transform } from 'node:stream';
import type { Compression } from '@fleet/protocol/manifest.ts';
import { decompressor } from './compression.ts';

const NOTHING = Buffer.alloc(0);
const PIECE = 256 * 1024;

/** A file's bytes from its beginning, wherever the descriptor stands. */
function* piecesOf(fd: number): Generator<Buffer, void> {
  for (let at = 0; ; ) {
    const piece = Buffer.allocUnsafeSlow(PIECE);
    const read = readSync(fd, piece, 0, PIECE, at);
    if (read === 0) return;
    yield piece.subarray(0, read);
    at += read;
  }
}

export class ArchiveReader {
  readonly #stream: Transform;
  readonly #pieces: AsyncIterator<Buffer>;
  #piece: Buffer = NOTHING;

  /** `fd` stays the caller's to close. */
  constructor(fd: number, compression: Compression) {
    this.#stream = pipeline(Readable.from(piecesOf(fd)), decompressor(compression), () => {});
    this.#pieces = this.#stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next bytes: at least one and at most `most`; none at the end of the archive. Throws where it does not decompress. */
  async some(most: number): Promise<Buffer> {
    while (this.#piece.length === 0) {
      const next = await this.#pieces.next();
      if (next.done) return NOTHING;
      this.#piece = next.value;
    }
    const part = this.#piece.subarray(0, most);
    this.#piece = this.#piece.subarray(part.length);
    return part;
  }

  /** The next `size` bytes, fewer only at the end of the archive. */
  async all(size: number): Promise<Buffer> {
    const first = await this.some(size);
    if (first.length === size) return first;
    const parts = [first];
    for (let left = size - first.length; left > 0; ) {
      const part = await this.some(left);
      if (part.length === 0) break;
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Nothing is read from the file after this. */
  close(): void {
    this.#stream.destroy();
  }
}
