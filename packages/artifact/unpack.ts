/** An artifact becomes a release directory, or nothing. */
import { mkdir, rm } from 'node:fs/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { inThread } from './inThread.ts';
import { type Unprivileged, unpackApart } from './unpackApart.ts';

/**
 * `into` must not exist, its parent must. When this resolves, the tree equals the manifest and is on the disk; the caller
 * renames it into place and syncs the parent. With `as`, which only root can have, a process of another user unpacks, else a
 * thread of this one. When it rejects (`bad_archive`, `disk_full`), `into` is gone and nothing writes any more.
 */
export async function unpack(options: {
  artifact: string;
  manifest: Manifest;
  into: string;
  as?: Unprivileged | undefined;
}): Promise<{ files: number; bytes: number }> {
  const { as, ...job } = options;
  const { manifest, into } = job;
  try {
    await mkdir(into, { mode: 0o700 });
  } catch (error) {
    throw explain(error, manifest);
  }
  try {
    return await (as === undefined ? inThread('unpack', job) : unpackApart(job, as));
  } catch (error) {
    await rm(into, { recursive: true, force: true });
    throw explain(error, manifest);
  }
}

function explain(error: unknown, { service, version }: Manifest): FleetError {
  if (error instanceof FleetError && error.code !== 'internal') return error;
  if (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT'))
    return new FleetError('disk_full', `no room to unpack ${service} ${version} (${error.message})`, {
      next: 'make room on the host and deploy again',
      cause: error,
    });
  const why = error instanceof Error ? error.message : String(error);
  return new FleetError('bad_archive', `${service} ${version} cannot be unpacked: ${why}`, { cause: error });
}
