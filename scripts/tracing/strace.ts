/** strace on one thread of a program that runs: it tells the thread's system calls, and makes the N-th of a kind fail or kill. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

export interface Call {
  name: string;
  /** As strace prints it: arguments with the paths of descriptors, and the result. */
  text: string;
  failed: boolean;
  injected: boolean;
}

export interface Injection {
  call: string;
  /** From 1. */
  nth: number;
  /** As strace takes it: `error=EIO`, `signal=SIGKILL`. */
  fault: string;
}

export interface Trace {
  /** Resolves when strace has let go: when it was told to, or when the program has ended. */
  ended: Promise<Call[]>;
  stop(): Promise<Call[]>;
}

/** `thread`: only this one is looked at, not the program's others. Resolves when it is being looked at. */
export async function traceThread(
  thread: number,
  calls: readonly string[],
  injection?: Injection,
): Promise<Trace> {
  const fault = injection ? ['-e', `inject=${injection.call}:${injection.fault}:when=${injection.nth}`] : [];
  const argv = ['-y', '-s', '16', '-e', `trace=${calls.join(',')}`, ...fault, '-e', 'signal=none'];
  const strace: ChildProcess = spawn('strace', [...argv, '-p', String(thread)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  const said = strace.stderr!.setEncoding('utf8');
  const attached = new Promise<void>((resolve, reject) => {
    said.on('data', (more: string) => {
      text += more;
      if (text.includes(' attached\n')) resolve();
    });
    strace.once('error', reject);
    strace.once('exit', (code) => reject(new Error(`strace ended with ${code}: ${text}`)));
  });
  const ended = once(strace, 'close').then(() => callsIn(text));
  await attached;
  return {
    ended,
    stop: () => {
      strace.kill('SIGINT');
      return ended;
    },
  };
}

function callsIn(text: string): Call[] {
  return text.split('\n').flatMap((line) => {
    const name = /^([a-z0-9_]+)\(/.exec(line)?.[1];
    return name === undefined
      ? []
      : [{ name, text: line, failed: / = -1 /.test(line), injected: line.includes('(INJECTED') }];
  });
}

export function threadsOf(pid: number): Array<{ thread: number; name: string }> {
  return readdirSync(`/proc/${pid}/task`).map((thread) => ({
    thread: Number(thread),
    name: readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim(),
  }));
}

/** Where Node does its asynchronous work on files. With these in its environment it is one thread, and its calls have an order. */
export const ONE_THREAD = { UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' };

export function poolThread(pid: number): number {
  const pool = threadsOf(pid).filter(({ name }) => name === 'libuv-worker');
  if (pool.length !== 1) throw new Error(`the program has ${pool.length} threads that work on files, not 1`);
  return pool[0]!.thread;
}

/** False where strace can look at a program. */
export function skipWithoutStrace(): string | false {
  const { status } = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']);
  if (status === 0) return false;
  const why = 'strace is not installed, or not allowed here';
  if (process.env.CI === 'true') throw new Error(why);
  return why;
}
