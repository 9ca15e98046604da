/**
 * Unpacking itself, in two passes over the archive: one that compares every byte and writes nothing, one that writes. Paths,
 * types, modes, sizes and targets are taken from the manifest alone, which is judged first, and the archive's own headers must
 * be, byte for byte, those that the manifest implies (see form.ts). All that an archive can ever put on the disk is content of a
 * file that the manifest names, no longer than it says.
 */
import { chmodSync, closeSync, fstatSync, openSync, statfsSync } from 'node:fs';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { digestOf } from './digest.ts';
import { findUnsafe } from './entries.ts';
import { diskFull, explain, finish, sizeOf } from './finish.ts';
import type { Jobs } from './jobs.ts';
import { rush } from './pace.ts';
import { ArchiveReader } from './reader.ts';
import { checkArchive, writeTree } from './writeTree.ts';

export async function unpackArchive(job: Jobs['unpack']['input']): Promise<Jobs['unpack']['output']> {
  const { artifact, manifest, into } = job;
  try {
    const fd = openSync(artifact, 'r');
    try {
      await writeRelease(fd, manifest, into);
    } finally {
      closeSync(fd);
    }
    chmodSync(into, 0o755);
    await finish(into, manifest);
    return { files: manifest.files.length, bytes: sizeOf(manifest) };
  } catch (error) {
    throw explain(error, manifest, into);
  }
}

/** `into`: an empty directory, `shownAs` in messages. What is in it when this throws is to be removed. */
export async function writeRelease(
  fd: number,
  manifest: Manifest,
  into: string,
  shownAs = into,
): Promise<void> {
  const unsafe = findUnsafe(manifest.files);
  if (unsafe) throw new Error(unsafe);
  checkRoom(into, sizeOf(manifest), shownAs);
  checkArtifact(fd, manifest);
  await passOver(fd, manifest, (reader) => checkArchive(reader, manifest));
  await passOver(fd, manifest, (reader) => writeTree(reader, manifest, into));
}

async function passOver(
  fd: number,
  manifest: Manifest,
  pass: (reader: ArchiveReader) => Promise<void>,
): Promise<void> {
  const reader = new ArchiveReader(fd, manifest.artifact.compression);
  try {
    await pass(reader);
  } finally {
    reader.close();
  }
}

/** Before the first byte, because a disk that is filled to its end harms whoever else lives on it. */
function checkRoom(into: string, bytes: number, shownAs: string): void {
  const disk = statfsSync(into, { bigint: true });
  const free = disk.bavail * disk.bsize;
  if (free < BigInt(bytes))
    throw diskFull(
      `${shownAs} has ${mebibytes(free)} MiB free, the release needs ${mebibytes(BigInt(bytes))} MiB`,
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
