/**
 * Unpacking itself, in one pass over the archive. No listing pass comes first, because there is nothing in an archive for it to
 * find: paths, types, modes, sizes and targets are taken from the manifest alone, which is judged before anything is
 * written, and the archive's own headers must be, byte for byte, those that the manifest implies (see form.ts). All that an
 * archive can put on the disk is content of a file that the manifest names, no longer than it says, in a directory that is
 * removed at the first byte that differs.
 */
import { chmodSync, closeSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { digestOf } from './digest.ts';
import { findUnsafe } from './entries.ts';
import { describeDifferences, inspectTree } from './inspect.ts';
import type { Jobs } from './jobs.ts';
import { rush } from './pace.ts';
import { ArchiveReader } from './reader.ts';
import { syncTree } from './sync.ts';
import { writeTree } from './writeTree.ts';

export async function unpackArchive(job: Jobs['unpack']['input']): Promise<Jobs['unpack']['output']> {
  const { artifact, manifest, into } = job;
  try {
    const unsafe = findUnsafe(manifest.files);
    if (unsafe) throw new Error(unsafe);
    const bytes = sizeOf(manifest);
    checkRoom(into, bytes);
    await readArtifact(artifact, manifest, into);
    chmodSync(into, 0o755);
    await finish(into, manifest);
    return { files: manifest.files.length, bytes };
  } catch (error) {
    throw explain(error, manifest, into);
  }
}

async function readArtifact(artifact: string, manifest: Manifest, into: string): Promise<void> {
  const fd = openSync(artifact, 'r');
  try {
    checkArtifact(fd, manifest);
    const reader = new ArchiveReader(fd, manifest.artifact.compression);
    try {
      await writeTree(reader, manifest, into);
    } finally {
      reader.close();
    }
  } finally {
    closeSync(fd);
  }
}

/** The tree as it is, not as it was meant, while the disk writes it down. */
async function finish(into: string, manifest: Manifest): Promise<void> {
  const synced = syncTree(into, manifest.files);
  try {
    const differences = rush(inspectTree(into, manifest.files, []));
    if (differences.length > 0)
      throw new Error(`the tree is not as it was written: ${describeDifferences(differences)}`);
  } finally {
    await synced;
  }
}

function sizeOf(manifest: Manifest): number {
  return manifest.files.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
}

/** Before the first byte, because a disk that is filled to its end harms whoever else lives on it. */
function checkRoom(into: string, bytes: number): void {
  const disk = statfsSync(into, { bigint: true });
  const free = disk.bavail * disk.bsize;
  if (free < BigInt(bytes))
    throw diskFull(
      `${into} has ${mebibytes(free)} MiB free, the release needs ${mebibytes(BigInt(bytes))} MiB`,
    );
}

function mebibytes(bytes: bigint): bigint {
  return (bytes + 0xfffffn) >> 20n;
}

function checkArtifact(fd: number, manifest: Manifest): void {
  const { sha256, size } = manifest.artifact;
  if (fstatSync(fd).size !== size)
    throw new Error(`the artifact has not the ${size} bytes that the manifest says`);
  if (rush(digestOf(fd)) !== sha256) throw new Error('the artifact’s digest is not the one in the manifest');
}

function explain(error: unknown, { service, version }: Manifest, into: string): FleetError {
  if (error instanceof FleetError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(`no room in ${into} (${message})`, error);
  return new FleetError('bad_archive', `${service} ${version} cannot be unpacked: ${message}`, {
    next: 'build the version again; if that does not help, look at the host’s disk',
    cause: error,
  });
}

function diskFull(why: string, cause?: unknown): FleetError {
  return new FleetError('disk_full', why, { next: 'make room on the host and deploy again', cause });
}
