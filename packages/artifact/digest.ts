import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';

const PIECE = 1024 * 1024;

/** sha256 of a whole file, in hex, a yield for each piece. Holds one piece, whatever the file's size. */
export function* digestOf(fd: number): Generator<void, string> {
  const sha256 = createHash('sha256');
  const piece = Buffer.allocUnsafe(PIECE);
  for (let at = 0; ; ) {
    const read = readSync(fd, piece, 0, PIECE, at);
    if (read === 0) return sha256.digest('hex');
    sha256.update(piece.subarray(0, read));
    at += read;
    yield;
  }
}
