import { statfs } from 'node:fs/promises';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { reserveOf } from '../disk/room.ts';

const MIB = 1024 * 1024;
/** Of a disk, or of its inodes: less is soon none. */
const LITTLE = 0.1;
const NEXT_TO_NOTHING = 0.02;

/** Room and inodes where releases go (`root`), or where the journal is written (`data`). */
export async function lookAtDisk(what: 'root' | 'data', path: string): Promise<Finding> {
  const about = `disk ${what}`;
  try {
    const { bavail, blocks, bsize, ffree, files } = await statfs(path);
    const [free, total] = [bavail * bsize, blocks * bsize];
    // Some file systems make inodes as they need them, and say none.
    const inodes = files === 0 ? 1 : ffree / files;
    const room = `${path}: ${mebibytes(free)} of ${mebibytes(total)} free`;
    const says = files === 0 ? room : `${room}, ${ffree} of ${files} inodes`;
    const next = `make room on the host: du -xsh ${path}/* shows where it went; releases that fleet keeps are \`keep\` in controller.yaml`;
    if (free <= reserveOf(total) || free / total < NEXT_TO_NOTHING || inodes < NEXT_TO_NOTHING)
      return bad(about, says, next);
    return free / total < LITTLE || inodes < LITTLE ? warn(about, says, next) : ok(about, says);
  } catch (error) {
    return bad(
      about,
      `${path} cannot be looked at: ${error instanceof Error ? error.message : error}`,
      'fleet hosts add again makes what is missing',
    );
  }
}

function mebibytes(bytes: number): string {
  return bytes >= 10_240 * MIB ? `${Math.round(bytes / 1024 / MIB)} GiB` : `${Math.round(bytes / MIB)} MiB`;
}
