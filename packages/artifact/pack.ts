/** A folder becomes an artifact: an ordinary tarball, the same for the same content wherever and whenever it is packed. */
import { realpath, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Compression, Manifest } from '@fleet/protocol/manifest.ts';
import { identityOf } from './identity.ts';
import { inThread } from './inThread.ts';

export interface PackOptions {
  /** The checkout. */
  dir: string;
  service: string;
  version: string;
  /** fleet.yaml as it was parsed. */
  sealed: unknown;
  source: Manifest['source'];
  platform: string;
  /** The folder below `dir` that becomes the release. */
  root: string;
  include: string[];
  exclude: string[];
  compression: Compression;
  /** The artifact's path. On the disk when this resolves; gone when it does not. */
  out: string;
}

/** Throws `source_failed` or `bad_config` with the path or glob that is at fault. */
export async function pack(options: PackOptions): Promise<Manifest> {
  const { service, version, sealed, source, platform, include, exclude, compression, out } = options;
  const folder = await rootOf(options.dir, options.root);
  try {
    const { files, sha256, size } = await inThread('pack', { folder, include, exclude, compression, out });
    const identity = identityOf(files, sealed);
    const artifact = { sha256, size, compression };
    return { format: 1, service, version, identity, source, platform, sealed, files, artifact };
  } catch (error) {
    await rm(out, { force: true });
    throw error;
  }
}

/** A root that is a link out of the checkout would pack what the repository does not hold. */
async function rootOf(dir: string, root: string): Promise<string> {
  const failed = (why: string, cause?: unknown) =>
    new FleetError('source_failed', `package.root ${root} ${why}`, {
      next: 'name a folder of the checkout, or one that the build command makes',
      cause,
    });
  const checkout = await realpath(dir);
  const folder = await realpath(join(dir, root)).catch((cause: unknown) => {
    throw failed(`is not there after the build`, cause);
  });
  if (folder !== checkout && !folder.startsWith(`${checkout}${sep}`)) throw failed('leaves the checkout');
  return folder;
}
