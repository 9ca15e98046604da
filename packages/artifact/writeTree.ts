/** The manifest's tree, and an archive whose every byte is compared or hashed: before anything is written, and on its way to the disk. */
import { createHash, hash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Entry, Manifest } from '@fleet/protocol/manifest.ts';
import { BLOCK, describeHeader, END, headerOf, paddingOf } from './form.ts';
import type { FileEntry } from './inspect.ts';
import type { ArchiveReader } from './reader.ts';

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Reads all of it and writes nothing. Throws at the first byte that is not what it must be. */
export async function checkArchive(reader: ArchiveReader, manifest: Manifest): Promise<void> {
  await walk(reader, manifest, (entry) => passContent(reader, entry, () => {}));
}

/** `into` is an empty directory that nobody else writes to. Throws at the first byte that is not what it must be. */
export async function writeTree(reader: ArchiveReader, manifest: Manifest, into: string): Promise<void> {
  const makeDirectory = (path: string) => {
    mkdirSync(path, 0o755);
    chmodSync(path, 0o755);
  };
  await walk(
    reader,
    manifest,
    (entry) => writeFile(reader, entry, join(into, entry.path)),
    ({ path }) => makeDirectory(join(into, path)),
  );
  // Last, so that no file was ever written through a link.
  for (const entry of manifest.files)
    if (entry.type === 'link') symlinkSync(entry.target, join(into, entry.path));
}

async function walk(
  reader: ArchiveReader,
  manifest: Manifest,
  onFile: (entry: FileEntry) => Promise<void>,
  onDirectory: (entry: Entry) => void = () => {},
): Promise<void> {
  for (const entry of manifest.files) {
    await expectHeader(reader, headerOf(entry), entry.path);
    if (entry.type === 'directory') onDirectory(entry);
    if (entry.type === 'file') {
      await onFile(entry);
      await expectZeros(reader, paddingOf(entry.size), `after ${JSON.stringify(entry.path)}`);
    }
  }
  await expectZeros(reader, END.length, 'at its end');
  if ((await reader.some(1)).length > 0) throw new Error('the archive goes on after its end');
}

/** The mode is set apart from the creation: a umask or a default ACL may have taken bits of it. */
async function writeFile(reader: ArchiveReader, entry: FileEntry, full: string): Promise<void> {
  const fd = openSync(full, CREATE, 0o600);
  try {
    fchmodSync(fd, entry.mode);
    await passContent(reader, entry, (bytes) => writeAll(fd, bytes));
  } finally {
    closeSync(fd);
  }
}

/** `take` gets all of a file's content, piece by piece. Throws, when it has, where this is not what the manifest says. */
async function passContent(
  reader: ArchiveReader,
  entry: FileEntry,
  take: (bytes: Buffer) => void,
): Promise<void> {
  if ((await digestOfContent(reader, entry, take)) !== entry.sha256)
    throw new Error(`${JSON.stringify(entry.path)} has other content than the manifest says`);
}

async function digestOfContent(
  reader: ArchiveReader,
  entry: FileEntry,
  take: (bytes: Buffer) => void,
): Promise<string> {
  const first = await reader.some(entry.size);
  take(first);
  if (first.length === entry.size) return hash('sha256', first, 'hex');
  const sha256 = createHash('sha256').update(first);
  for (let left = entry.size - first.length; left > 0; ) {
    const piece = await reader.some(left);
    if (piece.length === 0)
      throw new Error(`the archive ends in the middle of ${JSON.stringify(entry.path)}`);
    take(piece);
    sha256.update(piece);
    left -= piece.length;
  }
  return sha256.digest('hex');
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

async function expectHeader(reader: ArchiveReader, expected: Buffer, path: string): Promise<void> {
  const found = await reader.all(expected.length);
  if (found.equals(expected)) return;
  const named = found.length >= BLOCK ? describeHeader(found.subarray(-BLOCK)) : describeHeader(found);
  throw new Error(`where ${JSON.stringify(path)} must follow, the archive has ${named}`);
}

async function expectZeros(reader: ArchiveReader, size: number, where: string): Promise<void> {
  const found = await reader.all(size);
  if (!found.equals(END.subarray(0, size)))
    throw new Error(`the archive has something else ${where} than it must have`);
}
