/** For tests: a file system of its own that is soon full. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  path: string;
  remove(): void;
}

export const NO_MOUNT = 'this machine lets nobody mount a small disk';

/** `options` as `mount` takes them: size=1m,nr_inodes=100. Undefined where this machine lets nobody mount. */
export function mountSmallDisk(options: string): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'fleet-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  if (status !== 0) {
    rmdirSync(path);
    if (process.env.CI === 'true') throw new Error(NO_MOUNT);
    return undefined;
  }
  const remove = () => {
    spawnSync('umount', ['--lazy', path]);
    rmdirSync(path);
  };
  return { path, remove };
}
