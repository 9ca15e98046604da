/** How much room there is where releases go. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Disk } from './disk.ts';

const MIB = 1024 * 1024;

/** Bytes that the agent may still write below `path`. */
export async function freeBytes(disk: Disk, path: string): Promise<number> {
  const { bavail, bsize } = await disk.statfs(path);
  return bavail * bsize;
}

/** Kept for logs and journals of what runs: 1 % of the disk, at most 64 MiB. Bytes. */
export function reserveOf(total: number): number {
  return Math.min(64 * MIB, Math.floor(total / 100));
}

/** Throws `disk_full` where `bytes` and the reserve do not fit, before a byte is written. */
export async function requireRoom(disk: Disk, path: string, bytes: number, what: string): Promise<void> {
  const { bavail, blocks, bsize } = await disk.statfs(path);
  const free = bavail * bsize;
  const reserve = reserveOf(blocks * bsize);
  if (free >= bytes + reserve) return;
  throw new FleetError(
    'disk_full',
    `${what} needs ${mebibytes(bytes)} and a reserve of ${mebibytes(reserve)}, but ${path} has ${mebibytes(free)} free`,
    {
      next: 'Make room on the host, or let it keep fewer releases, then deploy again.',
      data: { needed: bytes, reserve, free },
    },
  );
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
