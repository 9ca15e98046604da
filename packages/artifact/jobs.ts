/** The heavy jobs, each a program for a thread of its own: what goes in, what comes out. */
import type { Compression, Entry, Manifest } from '@fleet/protocol/manifest.ts';

export interface Jobs {
  pack: {
    input: { folder: string; include: string[]; exclude: string[]; compression: Compression; out: string };
    output: { files: Entry[]; sha256: string; size: number };
  };
  unpack: {
    input: { artifact: string; manifest: Manifest; into: string };
    output: { files: number; bytes: number };
  };
}
export type JobName = keyof Jobs;
