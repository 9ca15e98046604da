/** A Debian as it comes from the archive, made once on this machine and never changed: every booted machine is a layer over it. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command } from './commands.ts';

const FOLDER = '/var/tmp/fleet-machines';
const SUITE = 'bookworm';
/** What a rented server has; no Node, no fleet. */
const PACKAGES = ['systemd', 'systemd-sysv', 'dbus', 'openssh-server', 'sudo', 'iproute2', 'ca-certificates'];

/** Outlives runs, and is the same for all of them: a minute and 280 MB are spent once. */
const base = join(FOLDER, `${SUITE}-base`);

export function hasBase(): boolean {
  return existsSync(base);
}

/** The folder with the tree. Throws with the end of debootstrap's output where the archive cannot be reached. */
export function debianBase(): string {
  if (hasBase()) return base;
  mkdirSync(FOLDER, { recursive: true, mode: 0o755 });
  // Two runs may make one at the same time: whoever is done first has made it.
  const making = mkdtempSync(join(FOLDER, 'making-'));
  const tree = join(making, 'tree');
  try {
    command('debootstrap', '--variant=minbase', `--include=${PACKAGES.join(',')}`, SUITE, tree);
    if (!hasBase()) putInPlace(tree);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return base;
}

function putInPlace(tree: string): void {
  try {
    renameSync(tree, base);
  } catch (error) {
    if (!hasBase()) throw error;
  }
}
