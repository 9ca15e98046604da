/** What the file system said of a release's files when they were known to be right. */
import type { BigIntStats } from 'node:fs';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { refuseDrift } from './drift.ts';

/** Plain JSON: a path and its stamp for each file. A file without a stamp is not trusted unread. */
export type Stats = Array<[path: string, stamp: string]>;

/**
 * A file system's clock ticks every few milliseconds: a file changed again within the tick that it was last changed in looks
 * the same. So a file as young as this, in milliseconds, gets no stamp.
 */
const YOUNG = 50;

/**
 * To be called on a tree that has just been unpacked or verified: content is not read here. Throws `drifted` where types,
 * modes or sizes are not the manifest's.
 */
export async function recordStats(dir: string, manifest: Manifest): Promise<Stats> {
  const stats: Stats = [];
  const old = BigInt(Date.now() - YOUNG) * 1_000_000n;
  await refuseDrift(dir, manifest, [], (entry, stat) => {
    if (stat.ctimeNs < old) stats.push([entry.path, stampOf(stat)]);
    return undefined;
  });
  return stats;
}

/** Changes whenever content may have changed. */
export function stampOf(stat: BigIntStats): string {
  return `${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}`;
}
