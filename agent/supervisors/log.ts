/** Reading what a service printed, also while it goes on printing and its log is rotated. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { ifThere } from '../disk/durable.ts';

export const MOST_BYTES = 256 * 1024;
/** The cursor of a service that has not printed anything yet. */
const START = '0.0:0';

export interface LogPart {
  text: string;
  /** Where to go on: a file and an offset in it. */
  cursor: string;
}

export interface LogRange {
  lines: number;
  /** A cursor of an earlier part. */
  after?: string | undefined;
}

/**
 * The last `lines` lines, or with `after` what came since that cursor; never more than 256 KiB. What came after a cursor is
 * whole lines where it can be. A cursor outlives one rotation of the log; after two, reading goes on at the oldest line kept.
 */
export function readLog(home: string, range: LogRange): Promise<LogPart> {
  return readLogFile(join(home, 'log'), range);
}

/** The same of any log that is rotated by being renamed to NAME.1. */
export async function readLogFile(path: string, { lines, after }: LogRange): Promise<LogPart> {
  const files = await openLogs(path);
  try {
    return after === undefined ? await lastLines(files, lines) : await following(files, after);
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

interface LogFile {
  handle: FileHandle;
  /** Inode and birth: the number alone is given to the next log as soon as the file is removed. */
  id: string;
  size: number;
}

/** Oldest first. The newest is opened first: a rotation in between then hides nothing but what came after it. */
async function openLogs(path: string): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for (const each of [path, `${path}.1`]) {
    const handle = await ifThere(open(each, 'r'));
    if (handle === undefined) continue;
    const { ino, birthtimeMs, size } = await handle.stat();
    const file = { handle, id: `${ino}.${Math.trunc(birthtimeMs)}`, size };
    if (files.some(({ id }) => id === file.id)) await handle.close();
    else files.unshift(file);
  }
  return files;
}

async function lastLines(files: LogFile[], lines: number): Promise<LogPart> {
  const newest = files.at(-1);
  if (newest === undefined) return { text: '', cursor: START };
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
  const [, id, offset = '0'] = /^(\d+\.\d+):(\d+)$/.exec(after) ?? [];
  const known = files.findIndex((file) => file.id === id);
  const parts: Buffer[] = [];
  let cursor = after;
  let left = MOST_BYTES;
  for (const [index, file] of files.entries()) {
    if (index < known) continue;
    const from = index === known && Number(offset) <= file.size ? Number(offset) : 0;
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

function cursorAt({ id }: LogFile, offset: number): string {
  return `${id}:${offset}`;
}
