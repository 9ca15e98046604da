/** Removing what an agent that died in the middle of something left in a service's home. */
import { join } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { ifThere, syncPath } from '../disk/durable.ts';
import { UNFINISHED as UNFINISHED_SWITCH } from './activate.ts';
import { type Home, parsePartName } from './layout.ts';
import { UNFINISHED as UNFINISHED_COPY } from './shared.ts';

/** Partial streams that nobody came back for. */
const PART_KEPT_MS = 7 * 24 * 3_600_000;

/** To be called before anything else is done there. `now`: wall time in milliseconds. */
export async function sweepHome(home: Home, now: number): Promise<void> {
  const { disk } = home;
  await sweep(disk, home.staging, async (name) => {
    if (!parsePartName(name)) return true;
    return now - (await disk.stat(join(home.staging, name))).mtimeMs > PART_KEPT_MS;
  });
  await sweep(disk, home.shared, async (name) => name.startsWith(UNFINISHED_COPY));
  await sweep(
    disk,
    home.directory,
    async (name) => name.startsWith(UNFINISHED_SWITCH) || name.endsWith('.tmp'),
  );
  await sweepSignatures(home);
  for (const directory of [home.manifests, home.sealed, home.stats, home.signatures, home.run])
    await sweep(disk, directory, async (name) => name.endsWith('.tmp'));
}

/**
 * What could not be removed when it should have been. To be called in the service's turn, when nobody is at work there. Their
 * former names are synced away first, so that half of one is never taken for a release.
 */
export async function clearStaging({ disk, releases, staging }: Home): Promise<void> {
  const left = ((await ifThere(disk.readdir(staging))) ?? []).filter((name) => !parsePartName(name));
  if (left.length > 0) await syncPath(disk, releases);
  for (const name of left) await disk.rm(join(staging, name), { recursive: true, force: true });
}

/** An offer leaves one before anything has arrived, and nothing may ever arrive. */
async function sweepSignatures({ disk, releases, staging, signatures }: Home): Promise<void> {
  const there = (await ifThere(disk.readdir(releases))) ?? [];
  const coming = ((await ifThere(disk.readdir(staging))) ?? []).map((name) => parsePartName(name)?.version);
  const versions = new Set<string | undefined>([...there, ...coming]);
  await sweep(disk, signatures, async (name) => name.endsWith('.json') && !versions.has(name.slice(0, -5)));
}

async function sweep(
  disk: Disk,
  directory: string,
  isLeftOver: (name: string) => Promise<boolean>,
): Promise<void> {
  for (const name of (await ifThere(disk.readdir(directory))) ?? [])
    if (await isLeftOver(name)) await disk.rm(join(directory, name), { recursive: true, force: true });
}
