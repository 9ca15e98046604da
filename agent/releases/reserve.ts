/** Room for what must be written also where the disk is full: a file that is given up then, and made again when there is room. */
import { randomBytes } from 'node:crypto';
import type { Disk } from '../disk/disk.ts';
import { ifThere, writeDurably } from '../disk/durable.ts';

/** The longest outcomes, with what hooks printed, several times over. */
const BYTES = 256 * 1024;

export interface Reserve {
  /** Frees it. False where it was given up before. */
  giveUp(): Promise<boolean>;
  /** Makes it again, where it is gone and the disk has room. */
  refill(): Promise<void>;
}

/** The file at `path`, which is made at once if it is not there. */
export async function openReserve(disk: Disk, path: string): Promise<Reserve> {
  let there = (await ifThere(disk.stat(path))) !== undefined;

  async function refill(): Promise<void> {
    if (there) return;
    // Not zeros: a file system that compresses would reserve nothing for them.
    there = await writeDurably(disk, path, randomBytes(BYTES)).then(
      () => true,
      () => false,
    );
  }
  await refill();
  return {
    refill,
    async giveUp() {
      if (!there) return false;
      await disk.rm(path, { force: true });
      there = false;
      return true;
    },
  };
}
