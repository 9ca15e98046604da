/** Where things lie on a host. One service has one home; nothing else knows a path by heart. */
import { basename, dirname, join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { StreamPart } from '@fleet/protocol/messages/release.ts';
import { serviceName, versionName } from '@fleet/protocol/words.ts';
import { type Disk, realDisk } from '../disk/disk.ts';
import { errnoOf, ifThere, makeDirectory } from '../disk/durable.ts';

export interface Home {
  service: string;
  /** Where all of this is. */
  disk: Disk;
  /** ROOT/SERVICE */
  directory: string;
  /** A link to releases/VERSION. */
  current: string;
  releases: string;
  /** What outlives releases: linked into each of them. */
  shared: string;
  /** Releases that are on their way: partial streams, and trees that are being unpacked or removed. */
  staging: string;
  manifests: string;
  /** Identity and sealed fleet.yaml of each release. */
  sealed: string;
  stats: string;
  /** The signature of each release, on hosts that have joined a fleet. */
  signatures: string;
  /** The supervisor's files, and what the service was started with. */
  run: string;
  /** Versions in the order of their activation. */
  activations: string;
}

export function homeOf(root: string, service: string, disk: Disk = realDisk): Home {
  const directory = join(root, service);
  return {
    service,
    disk,
    directory,
    current: join(directory, 'current'),
    releases: join(directory, 'releases'),
    shared: join(directory, 'shared'),
    staging: join(directory, 'staging'),
    manifests: join(directory, 'manifests'),
    sealed: join(directory, 'sealed'),
    stats: join(directory, 'stats'),
    signatures: join(directory, 'signatures'),
    run: join(directory, 'run'),
    activations: join(directory, 'activations.json'),
  };
}

export function releaseDirectory(home: Home, version: string): string {
  return join(home.releases, version);
}
export function manifestPath(home: Home, version: string): string {
  return join(home.manifests, `${version}.json`);
}
export function sealedPath(home: Home, version: string): string {
  return join(home.sealed, `${version}.json`);
}
export function statsPath(home: Home, version: string): string {
  return join(home.stats, `${version}.json`);
}
export function signaturePath(home: Home, version: string): string {
  return join(home.signatures, `${version}.json`);
}
/** The digest in the name is all that an interrupted stream needs to go on, also in another life of the agent. */
export function partPath(home: Home, version: string, part: StreamPart, sha256: string): string {
  return join(home.staging, `${version}.${part}.${sha256}.part`);
}
export function parsePartName(name: string): { version: string; part: string; sha256: string } | undefined {
  const [, version, part, sha256] = /^(.+)\.(manifest|artifact)\.([0-9a-f]{64})\.part$/.exec(name) ?? [];
  return version && part && sha256 ? { version, part, sha256 } : undefined;
}

export async function makeHome(home: Home): Promise<void> {
  const below = [home.releases, home.shared, home.staging, home.manifests, home.sealed, home.stats, home.run];
  await makeDirectory(home.disk, home.directory, 0o755);
  for (const directory of below) await makeDirectory(home.disk, directory, modeOf(home, directory));
}

/** Programs that run as other users read releases and shared paths; the rest is the agent's own. */
function modeOf(home: Home, directory: string): number {
  return directory === home.releases || directory === home.shared ? 0o755 : 0o700;
}

/** The version that `current` names, null where there is none. Throws `switch_failed` where it is no link. */
export async function readCurrent(home: Home): Promise<string | null> {
  let target: string;
  try {
    target = await home.disk.readlink(home.current);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    if (errnoOf(error) !== 'EINVAL') throw error;
    throw new FleetError('switch_failed', `${home.current} is not a link: fleet did not make it`, {
      next: `Look what it holds, move it away (mv ${home.current} ${home.current}.old), then deploy again.`,
      cause: error,
    });
  }
  const version = basename(target);
  const ours = basename(dirname(target)) === 'releases' && versionName.safeParse(version).success;
  return ours ? version : null;
}

/** Versions whose directory is there, in no order. */
export async function listReleases(home: Home): Promise<string[]> {
  const names = (await ifThere(home.disk.readdir(home.releases))) ?? [];
  return names.filter((name) => versionName.safeParse(name).success);
}

/** Services that ever had a release here. */
export async function listServices(root: string, disk: Disk = realDisk): Promise<string[]> {
  const entries = (await ifThere(disk.readdir(root, { withFileTypes: true }))) ?? [];
  const services: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory() || !serviceName.safeParse(entry.name).success) continue;
    const { releases } = homeOf(root, entry.name, disk);
    if ((await ifThere(disk.readdir(releases))) !== undefined) services.push(entry.name);
  }
  return services.sort();
}
