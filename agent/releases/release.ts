/** A release on the disk of this host: its files, its manifest, and how its own fleet.yaml says it runs. */
import { join } from 'node:path';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import type { Stats } from '@fleet/artifact/stats.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type Service, service as sealedService } from '@fleet/protocol/service.ts';
import { ifThere, randomName, syncPath } from '../disk/durable.ts';
import { type Home, manifestPath, releaseDirectory, sealedPath, signaturePath, statsPath } from './layout.ts';
import { findUnlinked, sharedPaths } from './shared.ts';

export interface Release {
  version: string;
  directory: string;
  identity: string;
  /** The sealed fleet.yaml, decoded. */
  service: Service;
  /** Digest of the manifest that this was read from; undefined where nobody asks for signatures. */
  manifest?: string;
}

/** What a restart needs of a version, beside its manifest, which may list ten thousand files. */
export interface Sealed {
  identity: string;
  sealed: unknown;
}

/** `undefined` unless the release is complete: it has its directory and what the agent wrote about it. */
export async function findRelease(home: Home, version: string): Promise<Release | undefined> {
  const text = await ifThere(home.disk.readFile(sealedPath(home, version), 'utf8'));
  const directory = releaseDirectory(home, version);
  if (text === undefined || !(await ifThere(home.disk.lstat(directory)))?.isDirectory()) return undefined;
  const { identity, sealed } = JSON.parse(text) as Sealed;
  return { version, directory, identity, service: sealedService.parse(sealed) };
}

/** Throws `no_release`. */
export async function requireRelease(home: Home, version: string): Promise<Release> {
  const release = await findRelease(home, version);
  if (release) return release;
  throw new FleetError('no_release', `${home.service} ${version} is not on this host`, {
    next: `Deploy ${home.service} ${version} again: it is sent to hosts that lack it.`,
  });
}

/** Compares every file with the manifest, by stat where nothing was touched. Throws `drifted`. */
export async function verifyRelease(home: Home, { version, directory, service }: Release): Promise<Manifest> {
  const { manifest, stats } = await readNotes(home, version);
  await home.disk.verifyTree({ dir: directory, manifest, stats, ignore: sharedPaths(service.shared) });
  const unlinked = await findUnlinked(home, version, service.shared);
  if (unlinked === undefined) return manifest;
  throw new FleetError('drifted', `${directory}/${unlinked} is no longer the link into shared/`, {
    next: `Find out who changed it, then deploy ${home.service} ${version} again.`,
  });
}

/**
 * What the agent wrote about a release when it came. Damaged, it is as bad as a release that was changed; a disk that cannot
 * read it now says nothing about the release.
 */
async function readNotes(home: Home, version: string): Promise<{ manifest: Manifest; stats: Stats }> {
  const [manifest, stats] = await Promise.all(
    [manifestPath, statsPath].map((path) => ifThere(home.disk.readFile(path(home, version)))),
  );
  try {
    if (manifest === undefined || stats === undefined) throw new Error('a part of it is gone');
    return { manifest: decodeManifest(manifest), stats: JSON.parse(stats.toString()) as Stats };
  } catch (cause) {
    throw new FleetError(
      'drifted',
      `what fleet noted about ${home.service} ${version} is damaged: ${cause}`,
      {
        cause,
      },
    );
  }
}

/** The directory first, so that what is left after a crash is never taken for a release. */
export async function removeRelease(home: Home, version: string): Promise<void> {
  const { disk } = home;
  const doomed = join(home.staging, randomName());
  await ifThere(disk.rename(releaseDirectory(home, version), doomed));
  await syncPath(disk, home.releases);
  for (const path of [sealedPath, manifestPath, statsPath, signaturePath])
    await disk.rm(path(home, version), { force: true });
  await disk.rm(doomed, { recursive: true, force: true });
}
