/** Every host would refuse it: better before anything is touched. */
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Deps } from './context.ts';
import { type ReleaseFiles, readRelease } from './releaseFiles.ts';

/** Throws `not_signed`, `below_floor`. Nothing is asked in development. */
export async function checkSigned(
  { signing, store, disk }: Pick<Deps, 'signing' | 'store' | 'disk'>,
  artifact: ArtifactRecord,
  files?: ReleaseFiles,
): Promise<void> {
  if (signing === null) return;
  const { service, version, signature } = artifact;
  const { manifestSha256: manifest } = files ?? (await readRelease(artifact, disk));
  const floors = (await store.floors.list()).map(({ signed }) => signed);
  signing.check({ service, version, manifest }, signature, floors);
}
