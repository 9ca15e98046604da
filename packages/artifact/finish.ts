/** The end of an unpacking, good or bad, whoever did it. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { describeDifferences, inspectTree } from './inspect.ts';
import { pace } from './pace.ts';
import { syncTree } from './sync.ts';

/** The tree as it is, not as it was meant, while the disk writes it down. */
export async function finish(into: string, manifest: Manifest): Promise<void> {
  const synced = syncTree(into, manifest.files);
  try {
    const differences = await pace(inspectTree(into, manifest.files, []));
    if (differences.length > 0)
      throw new Error(`the tree is not as it was written: ${describeDifferences(differences)}`);
  } finally {
    await synced;
  }
}

export function sizeOf(manifest: Manifest): number {
  return manifest.files.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
}

export function explain(error: unknown, { service, version }: Manifest, into: string): FleetError {
  if (error instanceof FleetError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(`no room in ${into} (${message})`, error);
  return new FleetError('bad_archive', `${service} ${version} cannot be unpacked: ${message}`, {
    next: 'build the version again; if that does not help, look at the host’s disk',
    cause: error,
  });
}

export function diskFull(why: string, cause?: unknown): FleetError {
  return new FleetError('disk_full', why, { next: 'make room on the host and deploy again', cause });
}
