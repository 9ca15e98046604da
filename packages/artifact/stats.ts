/** What the file system said of a release's files when they were known to be right. */
import type { BigIntStats } from 'node:fs';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { inspectTree } from './inspect.ts';
import { pace } from './pace.ts';

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
  const differences = await pace(
    inspectTree(dir, manifest.files, [], (entry, stat) => {
      if (stat.ctimeNs < old) stats.push([entry.path, stampOf(stat)]);
      return undefined;
    }),
  );
  if (differences.length > 0) throw drifted(dir, manifest, differences);
  return stats;
}

/** Changes whenever content may have changed. */
export function stampOf(stat: BigIntStats): string {
  return `${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}`;
}

const NAMED = 5;
export function drifted(dir: string, manifest: Manifest, differences: string[]): FleetError {
  const more = differences.length > NAMED ? `; and ${differences.length - NAMED} more` : '';
  const named = differences.sort().slice(0, NAMED);
  return new FleetError(
    'drifted',
    `${manifest.service} ${manifest.version} in ${dir} is not what its manifest says: ${named.join('; ')}${more}`,
    {
      next: 'find out who changed it; then remove the release and deploy the version again',
      data: { differences: named, count: differences.length },
    },
  );
}
