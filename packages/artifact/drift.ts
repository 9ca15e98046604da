import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type Difference, describeDifferences, inspectTree, type Judge } from './inspect.ts';
import { pace } from './pace.ts';

/** Resolves where the tree passes; throws `drifted` naming what differs first, or what could not be read. */
export async function refuseDrift(
  dir: string,
  manifest: Manifest,
  ignore: string[],
  judge: Judge,
): Promise<void> {
  const differences = await inspect(dir, manifest, ignore, judge);
  if (differences.length === 0) return;
  throw new FleetError(
    'drifted',
    `${manifest.service} ${manifest.version} in ${dir} is not what its manifest says: ${describeDifferences(differences)}`,
    {
      next: 'find out who changed it; then remove the release and deploy the version again',
      data: { differences: differences.slice(0, 20), count: differences.length },
    },
  );
}

/** What a read ends with where the disk or this process is unwell: it says nothing about the tree. */
const UNWELL: ReadonlySet<unknown> = new Set(['EIO', 'EMFILE', 'ENFILE', 'ENOMEM']);

/** A release that is not there, or may not be read, is no less a difference. */
async function inspect(
  dir: string,
  manifest: Manifest,
  ignore: string[],
  judge: Judge,
): Promise<Difference[]> {
  try {
    return await pace(inspectTree(dir, manifest.files, ignore, judge));
  } catch (error) {
    if (!(error instanceof Error && 'errno' in error && 'code' in error) || UNWELL.has(error.code))
      throw error;
    return [{ path: '.', what: error.message }];
  }
}
