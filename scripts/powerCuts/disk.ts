/** A disk whose power can be cut: an ext4 in a file, mounted by a loop device. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, globSync, mkdirSync, openSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { waitUntil } from '../local/program.ts';

const CUT = join(import.meta.dirname, 'cut.pl');
const SIZE = 256 * 1024 * 1024;

export class PowerDisk {
  readonly path: string;
  readonly #image: string;

  /** Makes it, and mounts it at `path`. Throws where this machine lets nobody do so. */
  constructor(path: string) {
    this.path = path;
    this.#image = `${path}.ext4`;
    mkdirSync(path, { recursive: true });
    const fd = openSync(this.#image, 'w');
    ftruncateSync(fd, SIZE);
    closeSync(fd);
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image], { env: withSbin(), stdio: 'pipe' });
    this.mount();
  }

  mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.path], { env: withSbin(), stdio: 'pipe' });
  }

  /**
   * The machine that this disk is in loses its power: nothing more is written, and whoever uses the disk is dead. All of them
   * are stopped first, so that nobody lives to tell of a disk that has failed.
   */
  async cut(...others: number[]): Promise<void> {
    const doomed = () => [...new Set([...others, ...this.users()])];
    for (const pid of doomed()) signal(pid, 'SIGSTOP');
    execFileSync('perl', [CUT, this.path], { stdio: 'pipe' });
    for (const pid of doomed()) signal(pid, 'SIGKILL');
    await waitUntil('nobody uses the disk any more', () => {
      for (const pid of this.users()) signal(pid, 'SIGKILL');
      return spawnSync('umount', [this.path]).status === 0;
    });
  }

  /** Processes that have a file of it open, or work in it. */
  users(): number[] {
    const users = new Set<number>();
    for (const link of globSync('/proc/[0-9]*/{cwd,fd/*}')) {
      try {
        const target = readlinkSync(link);
        if (target === this.path || target.startsWith(`${this.path}/`)) users.add(Number(link.split('/')[2]));
      } catch {
        // it has ended meanwhile
      }
    }
    users.delete(process.pid);
    return [...users];
  }

  remove(): void {
    for (const pid of this.users()) signal(pid, 'SIGKILL');
    if (spawnSync('umount', [this.path]).status !== 0) spawnSync('umount', ['--lazy', this.path]);
    rmSync(this.#image, { force: true });
  }
}

/** Why there can be no power cuts here; false where there can. */
export function skipWithoutPowerDisk(dir: string): string | false {
  try {
    const disk = new PowerDisk(join(dir, 'probe'));
    try {
      execFileSync('perl', [CUT, disk.path], { stdio: 'pipe' });
    } finally {
      disk.remove();
    }
    return false;
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    return `a disk whose power can be cut needs root, loop devices, mkfs.ext4 and perl (${dirname(CUT)})`;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended meanwhile
  }
}

function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
}
