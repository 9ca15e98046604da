/**
 * A pipe for a program's output. What Node itself makes for `stdio: 'pipe'` is a socket, and `echo oops > /dev/stderr`, a line
 * that many a script has, cannot open a socket. One pipe for stdout and stderr also keeps the two in the order they were written.
 */
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';
import { needsSudo } from './sudo.ts';
import type { User } from './user.ts';

const CHUNK_BYTES = 64 * 1024;
/** The kernel lets nobody but root have a larger one. What comes after this much was written after the program’s end. */
const MOST_IN_A_PIPE = 1024 * 1024;

export interface Pipe {
  /** To hand to the program. */
  writer: number;
  /** To be called once the program has it: only then does the pipe end with the program. */
  closeWriter(): void;
  /** Takes what is in the pipe now, without waiting for whoever still holds it open. */
  drain(): void;
  close(): void;
}

/**
 * Node can open a named pipe, but not make one. It is for `user`, who opens it again as /dev/stderr, or else for this process's
 * own. Its folder must be closed to all others: who cannot give it away lets everybody write who comes there.
 */
export async function makeNamedPipe(path: string, user?: User): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', path], { env: cleanEnvironment() });
  await givePipe(path, user);
}

/** The same for a pipe that is there. */
export async function givePipe(path: string, user: User | undefined): Promise<void> {
  if (user === undefined) return;
  if (needsSudo(user)) await chmod(path, 0o622);
  else await chown(path, user.uid, user.gid);
}

/** `take` gets what comes, in memory that is used again as soon as it returns: a flood leaves no garbage. */
export async function openPipe(take: (chunk: Buffer) => void, user?: User): Promise<Pipe> {
  const dir = await privateDirectory();
  try {
    const path = join(dir, 'output');
    await makeNamedPipe(path, user);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return pipeOver(reader, openSync(path, constants.O_WRONLY), take);
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

function pipeOver(reader: number, writer: number, take: (chunk: Buffer) => void): Pipe {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const onread = {
    buffer,
    callback(bytes: number) {
      take(buffer.subarray(0, bytes));
      return true;
    },
  };
  const socket = new Socket({ fd: reader, readable: true, writable: false, onread });
  socket.on('error', () => {});
  let open = true;
  return {
    writer,
    closeWriter() {
      if (open) closeSync(writer);
      open = false;
    },
    drain() {
      if (socket.destroyed) return;
      for (let taken = 0; taken < MOST_IN_A_PIPE; ) {
        const bytes = readNow(reader, buffer);
        if (bytes === 0) return;
        take(buffer.subarray(0, bytes));
        taken += bytes;
      }
    },
    close() {
      this.closeWriter();
      socket.destroy();
    },
  };
}

/** 0 when nothing is there, or nothing will be. */
function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch {
    return 0;
  }
}
