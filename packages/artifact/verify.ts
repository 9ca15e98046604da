/** Is the release on the disk still the one that was unpacked? */
import { closeSync, constants, openSync } from 'node:fs';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { digestOf } from './digest.ts';
import { refuseDrift } from './drift.ts';
import type { Reading } from './inspect.ts';
import { type Stats, stampOf } from './stats.ts';

export interface VerifyOptions {
  dir: string;
  manifest: Manifest;
  /** From `recordStats`. Without them every file is read. */
  stats?: Stats | undefined;
  /** Paths of shared links, which the agent puts over what the manifest may have there. */
  ignore?: string[] | undefined;
}

/** Resolves where the tree equals the manifest; throws `drifted` with the first differences otherwise. */
export async function verifyTree({ dir, manifest, stats = [], ignore = [] }: VerifyOptions): Promise<void> {
  const stamps = new Map(stats);
  await refuseDrift(dir, manifest, ignore, (entry, stat, full) =>
    stamps.get(entry.path) === stampOf(stat) ? undefined : readContent(full, entry.sha256),
  );
}

function* readContent(full: string, expected: string): Reading {
  const fd = openSync(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return (yield* digestOf(fd)) === expected ? undefined : 'other content';
  } finally {
    closeSync(fd);
  }
}
