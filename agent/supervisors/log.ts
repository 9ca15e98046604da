/** Reading what a service printed, also while it goes on printing and its log is rotated. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { ifThere } from '../disk/durable.ts';

const MOST_BYTES = 256 * 1024;

export interface LogPart {
  text: string;
  /** Where to go on: the file's inode and an offset in it. */
  cursor: string;
}

/**
 * The last `lines` lines, or with `after` what came since that cursor; never more than 256 KiB. What came after a cursor is
 * whole lines where it can be. A cursor outlives one rotation of the log; after two, reading goes on at the oldest line kept.
 */
export async function readLog(
  home: string,
  { lines, after }: { lines: number; after?: string | undefined },
): Promise<LogPart> {
  const files = await openLogs(home);
  try {
    return after === undefined ? await lastLines(files, lines) : await following(files, after);
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

interface LogFile {
  handle: FileHandle;
  inode: number;
  size: number;
}

/** Oldest first. Opened before anything is read, so that a rotation in between moves nothing away. */
async function openLogs(home: string): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for (const name of ['log.1', 'log']) {
    const handle = await ifThere(open(join(home, name), 'r'));
    if (handle === undefined) continue;
    const { ino, size } = await handle.stat();
    if (files.some(({ inode }) => inode === ino)) await handle.close();
    else files.push({ handle, inode: ino, size });
  }
  return files;
}

async function lastLines(files: LogFile[], lines: number): Promise<LogPart> {
  const newest = files.at(-1);
  if (newest === undefined) return { text: '', cursor: '0:0' };
  let tail = Buffer.alloc(0);
  for (const file of files.toReversed()) {
    const length = Math.min(file.size, MOST_BYTES - tail.length);
    tail = Buffer.concat([await readAt(file, file.size - length, length), tail]);
    if (beginOfLines(tail, lines) > 0) break;
  }
  return { text: tail.toString('utf8', beginOfLines(tail, lines)), cursor: cursorAt(newest, newest.size) };
}

/** Where the last `lines` lines begin; 0 where there are no more than those. */
function beginOfLines(tail: Buffer, lines: number): number {
  let begin = tail.length;
  for (let left = lines; left > 0; left--) {
    const newline = begin < 2 ? -1 : tail.lastIndexOf(0x0a, begin - 2);
    if (newline === -1) return 0;
    begin = newline + 1;
  }
  return begin;
}

async function following(files: LogFile[], after: string): Promise<LogPart> {
  const [, inode, offset] = /^(\d+):(\d+)$/.exec(after)?.map(Number) ?? [];
  const known = files.findIndex((file) => file.inode === inode);
  const parts: Buffer[] = [];
  let cursor = after;
  let left = MOST_BYTES;
  for (const [index, file] of files.entries()) {
    if (index < known) continue;
    const from = index === known && offset! <= file.size ? offset! : 0;
    const found = await readAt(file, from, Math.min(file.size - from, left));
    left -= found.length;
    // A line may begin in one file and end in the next: only where reading ends is it cut at a line.
    const last = file === files.at(-1) || from + found.length < file.size;
    const part = last ? found.subarray(0, endOfLines(found)) : found;
    parts.push(part);
    cursor = cursorAt(file, from + part.length);
    if (last) break;
  }
  return { text: Buffer.concat(parts).toString(), cursor };
}

/** After the last whole line; all of it where there is none. */
function endOfLines(part: Buffer): number {
  return part.lastIndexOf(0x0a) + 1 || part.length;
}

async function readAt({ handle }: LogFile, from: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

function cursorAt({ inode }: LogFile, offset: number): string {
  return `${inode}:${offset}`;
}
