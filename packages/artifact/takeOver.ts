/** A tree that another user made becomes this process's own, entry by entry, each looked at once nobody else can change it any more. */
import { createHash, hash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { FileEntry } from './inspect.ts';

const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const DIRECTORY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY;
const PIECE = 1024 * 1024;

/**
 * To be called when whoever made the tree has ended. Directories before what is in them: from then on no name in them can be
 * given to something else. Throws where an entry of the manifest is something else than `from` made of it, or has other
 * content. What the manifest does not have is left to whoever compares the whole tree.
 */
export function* takeOver(dir: string, { files }: Manifest, from: number): Generator<void, void> {
  const piece = Buffer.allocUnsafe(PIECE);
  take(dir, DIRECTORY, (fd, stat) => ownDirectory(fd, stat, from, '.'));
  for (const entry of files) {
    yield;
    const full = join(dir, entry.path);
    switch (entry.type) {
      case 'directory':
        take(full, DIRECTORY, (fd, stat) => ownDirectory(fd, stat, from, entry.path));
        break;
      case 'file':
        take(full, FILE, (fd, stat) => ownFile(fd, stat, from, entry, piece));
        break;
      case 'link':
        if (lstatSync(full).uid !== from) throw notTheirs(entry.path);
        lchownSync(full, process.getuid!(), process.getgid!());
    }
  }
}

function take(path: string, how: number, act: (fd: number, stat: BigIntStats) => void): void {
  const fd = openSync(path, how);
  try {
    act(fd, fstatSync(fd, { bigint: true }));
  } finally {
    closeSync(fd);
  }
}

function ownDirectory(fd: number, { uid }: BigIntStats, from: number, path: string): void {
  if (uid !== BigInt(from)) throw notTheirs(path);
  fchownSync(fd, process.getuid!(), process.getgid!());
  fchmodSync(fd, 0o755);
}

/** Another name of a file may be anybody's: a link count above one is refused before its owner is changed. */
function ownFile(fd: number, stat: BigIntStats, from: number, entry: FileEntry, piece: Buffer): void {
  if (!stat.isFile() || stat.uid !== BigInt(from) || stat.nlink !== 1n) throw notTheirs(entry.path);
  fchownSync(fd, process.getuid!(), process.getgid!());
  if (contentOf(fd, entry.size, piece) !== entry.sha256)
    throw new Error(`${JSON.stringify(entry.path)} has other content than the manifest says`);
}

/** sha256 in hex of what is there, however long it should be. */
function contentOf(fd: number, size: number, piece: Buffer): string {
  const first = readSync(fd, piece);
  if (first < piece.length && first === size) return hash('sha256', piece.subarray(0, first), 'hex');
  const sha256 = createHash('sha256');
  for (let read = first; read > 0; read = readSync(fd, piece)) sha256.update(piece.subarray(0, read));
  return sha256.digest('hex');
}

function notTheirs(path: string): Error {
  return new Error(`${JSON.stringify(path)} is not what was unpacked`);
}
