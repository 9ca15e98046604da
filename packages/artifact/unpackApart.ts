/** Unpacking where this process is root: a child without rights does it, and what it made is looked at before it is believed. */
import { fork } from 'node:child_process';
import { closeSync, constants, lchownSync, openSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type ErrorBody, FleetError } from '@fleet/protocol/errors.ts';
import type { Order } from './apart.ts';
import { explain, finish, sizeOf } from './finish.ts';
import type { Answer } from './inThread.ts';
import type { Jobs } from './jobs.ts';
import { pace } from './pace.ts';
import { takeOver } from './takeOver.ts';

const PROGRAM = fileURLToPath(new URL('./apart.ts', import.meta.url));
/** How much of what a child says in its last moments is told. */
const COMPLAINT = 2000;
/** A refusal names a path, which may be long. */
const REFUSAL = 16 * 1024;

/** Whoever it is done as: nobody, most often. */
export interface Unprivileged {
  uid: number;
  gid: number;
}

/** `into` is a new directory that only root can reach. */
export async function unpackApart(
  { artifact, manifest, into }: Jobs['unpack']['input'],
  as: Unprivileged,
): Promise<Jobs['unpack']['output']> {
  try {
    const fd = openSync(artifact, constants.O_RDONLY | constants.O_NOFOLLOW);
    let output: Jobs['unpack']['output'];
    try {
      lchownSync(into, as.uid, as.gid);
      output = await inChild(fd, { manifest, into }, as);
    } finally {
      closeSync(fd);
    }
    await pace(takeOver(into, manifest, as.uid));
    await finish(into, manifest);
    return output;
  } catch (error) {
    throw explain(error, manifest, into);
  }
}

/** Settles only when the child has ended, whatever the result, and all that it may have started with it. */
async function inChild(
  artifact: number,
  order: Order,
  { uid, gid }: Unprivileged,
): Promise<Jobs['unpack']['output']> {
  const child = fork(PROGRAM, [String(uid), String(gid)], {
    cwd: order.into,
    env: environment(),
    execArgv: [],
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', artifact],
  });
  const ended = new Promise<string>((resolve) => {
    let complaint = '';
    child.stderr!.on('error', () => {});
    child.stderr!.on('data', (text: Buffer) => {
      complaint = (complaint + text.toString()).slice(-COMPLAINT);
    });
    child.once('exit', (code, signal) =>
      resolve(`what unpacks ended by ${signal ?? `exit status ${code}`}: ${complaint.trim()}`),
    );
    child.on('error', (error) => {
      if (child.pid === undefined) resolve(`nothing could be started to unpack: ${error.message}`);
    });
  });
  const answer = await new Promise<Answer<'unpack'> | string>((resolve) => {
    child.once('message', (said) => resolve(said as Answer<'unpack'>));
    void ended.then(resolve);
    child.send(order, (error) => {
      if (error) child.kill('SIGKILL');
    });
  });
  endGroup(child.pid);
  await ended;
  // Killed, most often for the memory of this machine: what arrived is as good as it was.
  if (typeof answer === 'string')
    throw new FleetError('transfer_failed', `${order.into} could not be unpacked: ${answer}`, {
      next: 'Deploy again: what arrived is kept.',
    });
  if ('error' in answer) throw refusalOf(answer.error);
  return { files: order.manifest.files.length, bytes: sizeOf(order.manifest) };
}

function environment(): Record<string, string> {
  const cache = getCompileCacheDir();
  return cache === undefined ? {} : { NODE_COMPILE_CACHE: cache };
}

function endGroup(group: number | undefined): void {
  if (group === undefined) return;
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // it has ended already
  }
}

/** Somebody who took the child over may say anything: it is taken for one of the refusals that there are, and no longer than they are. */
function refusalOf({ code, message, next }: ErrorBody): FleetError {
  return new FleetError(code === 'disk_full' ? code : 'bad_archive', String(message).slice(0, REFUSAL), {
    next: next === undefined ? undefined : String(next).slice(0, REFUSAL),
  });
}
