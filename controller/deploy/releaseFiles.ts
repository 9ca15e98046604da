/** A version's files on the controller, with what an agent is told of them before it takes a byte. */
import { createHash } from 'node:crypto';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type Service, service as serviceSchema } from '@fleet/protocol/service.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Disk } from './disk.ts';

export interface ReleaseFiles {
  record: ArtifactRecord;
  manifest: Manifest;
  /** The sealed fleet.yaml, with defaults. */
  sealed: Service;
  manifestSize: number;
  manifestSha256: string;
  /** Bytes of all files, unpacked. */
  unpacked: number;
}

export async function readRelease(record: ArtifactRecord, disk: Disk): Promise<ReleaseFiles> {
  const bytes = await disk.readFile(record.manifestPath).catch((cause: unknown) => {
    throw new FleetError(
      'internal',
      `the manifest of ${record.service} ${record.version} cannot be read: ${String(cause)}`,
      {
        next: `build it again: fleet build ${record.service} --ref ${record.ref}`,
        cause,
      },
    );
  });
  const manifest = decodeManifest(bytes);
  return {
    record,
    manifest,
    sealed: serviceSchema.parse(manifest.sealed),
    manifestSize: bytes.length,
    manifestSha256: createHash('sha256').update(bytes).digest('hex'),
    unpacked: manifest.files.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0),
  };
}
