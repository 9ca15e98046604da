/**
 * A pipe for a program's output. What Node itself makes for `stdio: 'pipe'` is a socket, and `echo oops > /dev/stderr`, a line
 * that many a script has, cannot open a socket. One pipe for stdout and stderr also keeps the two in the order they were written.
 */
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';

const CHUNK_BYTES = 64 * 1024;
/** The kernel lets nobody but root have a larger one. What comes after this much was written after the program’s end. */
const MOST_IN_A_PIPE = 1024 * 1024;

export interface Pipe {
  /** To hand to the program. */
  writer: number;
  /** To be called once the program has it: only then does the pipe end with the program. */
  closeWriter(): void;
  onData(take: (chunk: Buffer) => void): void;
  /** Takes what is in the pipe now, without waiting for whoever still holds it open. */
  drain(): void;
  close(): void;
}

/** Node can open a named pipe, but not make one. */
export async function makeNamedPipe(path: string): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', path], { env: cleanEnvironment() });
}

export async function openPipe(): Promise<Pipe> {
  const dir = await privateDirectory();
  try {
    const path = join(dir, 'output');
    await makeNamedPipe(path);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return pipeOver(reader, openSync(path, constants.O_WRONLY));
    } catch (error) {
      closeSync(reader);
      throw error;
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** In memory if possible: a hook must be able to run when the disk is full. */
async function privateDirectory(): Promise<string> {
  return mkdtemp('/dev/shm/fleet-').catch(() => mkdtemp(join(tmpdir(), 'fleet-')));
}

function pipeOver(reader: number, writer: number): Pipe {
  const socket = new Socket({ fd: reader, readable: true, writable: false });
  socket.on('error', () => {});
  let take: (chunk: Buffer) => void = () => {};
  let open = true;
  return {
    writer,
    closeWriter() {
      if (open) closeSync(writer);
      open = false;
    },
    onData(taker) {
      take = taker;
      socket.on('data', take);
    },
    drain() {
      if (socket.destroyed) return;
      for (let taken = 0; taken < MOST_IN_A_PIPE; ) {
        const chunk = readNow(reader);
        if (chunk.length === 0) return;
        take(chunk);
        taken += chunk.length;
      }
    },
    close() {
      this.closeWriter();
      socket.destroy();
    },
  };
}

/** Empty when nothing is there, or nothing will be. */
function readNow(fd: number): Buffer {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    return chunk.subarray(0, readSync(fd, chunk));
  } catch {
    return chunk.subarray(0, 0);
  }
}
