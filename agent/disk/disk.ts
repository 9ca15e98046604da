/**
 * The disk as the agent uses it, handed in: the calls of node:fs/promises by their own names, and what is done with the tree of
 * a whole release. A simulation puts a disk in memory in its place, with power cuts.
 */
import * as node from 'node:fs/promises';
import { recordStats } from '@fleet/artifact/stats.ts';
import { unpack } from '@fleet/artifact/unpack.ts';
import { verifyTree } from '@fleet/artifact/verify.ts';
import { findUnprivileged } from '@fleet/process/user.ts';

export interface Disk {
  readFile(path: string): Promise<Buffer>;
  readFile(path: string, encoding: 'utf8'): Promise<string>;
  readdir(path: string): Promise<string[]>;
  readdir(path: string, options: { withFileTypes: true }): Promise<Named[]>;
  readlink(path: string): Promise<string>;
  stat(path: string): Promise<Stat>;
  lstat(path: string): Promise<Stat>;
  statfs(path: string): Promise<{ bavail: number; blocks: number; bsize: number }>;
  open(path: string, flags: 'r' | 'r+' | 'a' | 'wx', mode?: number): Promise<OpenFile>;
  /** With `recursive`, resolves with the topmost directory that was made. */
  mkdir(path: string, options?: { recursive?: boolean; mode?: number }): Promise<string | undefined>;
  symlink(target: string, path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** Of a link, the link's own owner. */
  lchown(path: string, uid: number, gid: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void>;
  /** Copies a tree; links stay as they are. */
  cp(from: string, to: string, options: CopyOptions): Promise<void>;
  unpack: typeof unpack;
  verifyTree: typeof verifyTree;
  recordStats: typeof recordStats;
}

interface Named {
  name: string;
  isDirectory(): boolean;
}

interface Stat {
  size: number;
  mtimeMs: number;
  uid: number;
  mode: number;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface OpenFile {
  stat(): Promise<{ size: number }>;
  write(bytes: Buffer, from: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  writeFile(content: string | Buffer): Promise<void>;
  truncate(size: number): Promise<void>;
  /** `end` is the last byte that is read. */
  createReadStream(range: { start: number; end: number; autoClose: false }): AsyncIterable<Buffer>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

interface CopyOptions {
  recursive: true;
  verbatimSymlinks: true;
  errorOnExist: true;
  force: false;
}

export const realDisk: Disk = {
  ...node,
  unpack: async (job) => unpack({ ...job, as: await findUnprivileged() }),
  verifyTree,
  recordStats,
};
