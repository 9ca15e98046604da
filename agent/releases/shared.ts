/**
 * Paths that outlive releases. ROOT/SERVICE/shared/PATH holds them, and each release has a relative link in their place.
 */
import { dirname, join, posix, relative } from 'node:path';
import { needsSudo } from '@fleet/process/sudo.ts';
import type { User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { ifThere, makeDirectory, randomName, syncPath, syncTree } from '../disk/durable.ts';
import { type Home, releaseDirectory } from './layout.ts';

/** `./data/` and `data` are the same path. Throws `bad_config` for paths that cannot be linked. */
export function sharedPaths(written: string[]): string[] {
  const paths = [...new Set(written.map((path) => posix.normalize(path).replace(/\/+$/, '')))].sort();
  for (const path of paths) {
    const outer = paths.find((other) => path.startsWith(`${other}/`));
    if (path === '.' || outer !== undefined)
      throw new FleetError(
        'bad_config',
        `the shared path ${path} cannot be linked: ${outer ?? 'it'} is all of it`,
        {
          next: 'Name separate paths below `shared` in fleet.yaml.',
        },
      );
  }
  return paths;
}

/**
 * Links every shared path into `tree`, the unpacked release that will be `version`. What a release brings is the first
 * content of a path that is not there yet; later releases find what the service has made of it. It belongs to `user`, where the
 * service runs as another one than the agent.
 */
export async function linkShared(
  home: Home,
  version: string,
  tree: string,
  shared: string[],
  user?: User,
): Promise<void> {
  const { disk } = home;
  for (const path of sharedPaths(shared)) {
    const kept = join(home.shared, path);
    const packed = join(tree, path);
    await makeWay(disk, tree, path);
    await makeWay(disk, home.shared, path);
    if (!(await ifThere(disk.lstat(kept)))) {
      const made = join(home.shared, `${UNFINISHED}${randomName()}`);
      if (await ifThere(disk.lstat(packed))) await copyDurably(disk, packed, kept, made, user);
      else {
        await disk.mkdir(kept);
        if (user !== undefined) await giveTree(disk, kept, user);
      }
      await syncPath(disk, dirname(kept));
    }
    await disk.rm(packed, { recursive: true, force: true });
    await disk.symlink(targetOf(home, version, path), packed);
    await syncPath(disk, dirname(packed));
  }
}

function targetOf(home: Home, version: string, path: string): string {
  return relative(dirname(join(releaseDirectory(home, version), path)), join(home.shared, path));
}

/** The first shared path whose link is not the one that was made, if there is one. */
export async function findUnlinked(
  home: Home,
  version: string,
  shared: string[],
): Promise<string | undefined> {
  for (const path of sharedPaths(shared)) {
    const link = join(releaseDirectory(home, version), path);
    const target = await home.disk.readlink(link).catch(() => undefined);
    if (target !== targetOf(home, version, path)) return path;
  }
  return undefined;
}

/**
 * Directories on the way to a shared path. A link there would lead the agent elsewhere, so it is refused; and so is a directory
 * of somebody else, who could put a link there at any moment.
 */
async function makeWay(disk: Disk, tree: string, path: string): Promise<void> {
  let at = tree;
  for (const name of posix.dirname(path).split('/')) {
    at = join(at, name);
    const found = await ifThere(disk.lstat(at));
    if (found === undefined) await makeDirectory(disk, at, 0o755);
    else if (!found.isDirectory() || found.uid !== ownUid())
      throw new FleetError(
        'bad_archive',
        `the shared path ${path} goes through ${name}, which is no directory of the agent’s own`,
        {
          next: 'Name another path below `shared` in fleet.yaml, or pack a directory there.',
        },
      );
  }
}

/** What a crash leaves in shared/ begins like this. */
export const UNFINISHED = '.fleet-';

/** shared/ may be a disk of its own, so this copies; the name appears when the copy is whole. */
async function copyDurably(
  disk: Disk,
  from: string,
  to: string,
  temporary: string,
  user: User | undefined,
): Promise<void> {
  try {
    await disk.cp(from, temporary, {
      recursive: true,
      verbatimSymlinks: true,
      errorOnExist: true,
      force: false,
    });
    if (user !== undefined) await giveTree(disk, temporary, user);
    await syncTree(disk, temporary);
    await disk.rename(temporary, to);
  } catch (error) {
    await disk.rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/**
 * What is in a directory before the directory itself: until that is given too, nobody but the agent can change what is in it. Who
 * is not root can give nothing away; its group, which the agent is in too, may then do what its owner may, and what comes into its
 * directories is the group's as well.
 */
async function giveTree(disk: Disk, path: string, user: User): Promise<void> {
  const stat = await disk.lstat(path);
  const { mode } = stat;
  const isDirectory = stat.isDirectory();
  if (isDirectory) for (const name of await disk.readdir(path)) await giveTree(disk, join(path, name), user);
  if (!needsSudo(user)) return disk.lchown(path, user.uid, user.gid);
  await disk.lchown(path, ownUid()!, user.gid);
  // What the owner may, in the place of the group's three bits.
  if (!stat.isSymbolicLink())
    await disk.chmod(path, (mode & 0o777) | ((mode & 0o700) >> 3) | (isDirectory ? 0o2000 : 0));
}

function ownUid(): number | undefined {
  return process.getuid?.();
}
