/** Packing itself: files are read and hashed here while the compressor works on threads of its own. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { type Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { archiveOf, VALID } from './archive.ts';
import { compressor } from './compression.ts';
import type { Jobs } from './jobs.ts';
import { selectEntries } from './select.ts';

export async function packFolder(job: Jobs['pack']['input']): Promise<Jobs['pack']['output']> {
  const chosen = selectEntries(job.folder, job.include, job.exclude);
  const files: Entry[] = [];
  const fd = openSync(job.out, 'w', 0o644);
  try {
    const compressed = compressor(job.compression);
    const written = writeOut(compressed, fd);
    const [artifact] = await Promise.all([written, feed(archiveOf(job.folder, chosen, files), compressed)]);
    fsyncSync(fd);
    return { files, ...artifact };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new FleetError('disk_full', `no room for ${job.out} (${message})`, {
      next: 'make room where the controller keeps its artifacts, and build again',
      cause: error,
    });
  } finally {
    closeSync(fd);
  }
}

/**
 * Keeps the compressor busy: the next pieces are read while it works on one. A stream's own back pressure would do one after
 * the other, because it asks for more only when it has nothing left. What fails here is thrown by `writeOut`.
 */
async function feed(pieces: Iterable<Buffer>, into: Transform): Promise<void> {
  try {
    const queue: Promise<void>[] = [];
    for (const piece of pieces) {
      queue.push(new Promise((resolve) => into.write(piece, () => resolve())));
      if (queue.length >= VALID - 1) await queue.shift();
      if (into.destroyed) return;
    }
    // With input still waiting, `end` would close the zstd frame twice: one empty frame more, or not, as time has it.
    await Promise.all(queue);
    into.end();
  } catch (error) {
    into.destroy(error as Error);
  }
}

/** Writes and hashes what the compressor gives. */
async function writeOut(from: Transform, fd: number): Promise<{ sha256: string; size: number }> {
  const sha256 = createHash('sha256');
  let size = 0;
  const out = new Writable({
    write(piece: Buffer, _encoding, done) {
      try {
        sha256.update(piece);
        size += piece.length;
        for (let at = 0; at < piece.length; ) at += writeSync(fd, piece, at);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
  });
  await pipeline(from, out);
  return { sha256: sha256.digest('hex'), size };
}
