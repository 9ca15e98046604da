/** Packing itself: files are read and hashed here while the compressor works on threads of its own. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { archiveOf } from './archive.ts';
import { compressor } from './compression.ts';
import type { Jobs } from './jobs.ts';
import { selectEntries } from './select.ts';

/** Pieces of the archive that are read before the compressor asks for them, so that neither waits for the other. */
const AHEAD = 4;

export async function packFolder(job: Jobs['pack']['input']): Promise<Jobs['pack']['output']> {
  const chosen = selectEntries(job.folder, job.include, job.exclude);
  const files: Entry[] = [];
  const fd = openSync(job.out, 'w', 0o644);
  try {
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
    const archive = Readable.from(archiveOf(job.folder, chosen, files), { highWaterMark: AHEAD });
    await pipeline(archive, compressor(job.compression), out);
    fsyncSync(fd);
    return { files, sha256: sha256.digest('hex'), size };
  } finally {
    closeSync(fd);
  }
}
