/** A small disk of its own, which can be full. */
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { command, tryCommand } from '../machines/commands.ts';

export class Disk {
  readonly path: string;
  readonly #megabytes: number;

  constructor(path: string, megabytes: number) {
    this.path = path;
    this.#megabytes = megabytes;
  }

  mount(): void {
    mkdirSync(this.path, { recursive: true });
    command('mount', '-t', 'tmpfs', '-o', `size=${this.#megabytes}m`, 'fleet-chaos', this.path);
  }

  /** To the last byte. */
  fill(): void {
    const file = openSync(this.#ballast, 'w');
    let block = Buffer.alloc(1024 * 1024);
    try {
      while (block.length > 0)
        if (!fits(file, block)) block = block.subarray(0, Math.floor(block.length / 2));
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }

  unmount(): void {
    tryCommand('umount', '--lazy', this.path);
  }
}

function fits(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) === block.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
