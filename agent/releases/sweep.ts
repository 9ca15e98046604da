/** Removing what an agent that died in the middle of something left in a service's home. */
import { join } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { ifThere } from '../disk/durable.ts';
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
  for (const directory of [home.manifests, home.sealed, home.stats, home.run])
    await sweep(disk, directory, async (name) => name.endsWith('.tmp'));
}

async function sweep(
  disk: Disk,
  directory: string,
  isLeftOver: (name: string) => Promise<boolean>,
): Promise<void> {
  for (const name of (await ifThere(disk.readdir(directory))) ?? [])
    if (await isLeftOver(name)) await disk.rm(join(directory, name), { recursive: true, force: true });
}
