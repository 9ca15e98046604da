/**
 * Runs a program to its end: by argv and never through a shell, with a deadline, everything it started ended with it, and a
 * bounded end of its output kept. Never rejects: how it ended is the answer.
 */
import { randomUUID } from 'node:crypto';
import type { Ended } from './describe.ts';
import { endGroup, killMarked, tellGroup } from './ending.ts';
import { openOutputLog } from './outputLog.ts';
import { openPipe } from './pipe.ts';
import { groupLives, signalGroup } from './proc.ts';
import { type Exit, type Started, spawnProgram } from './spawn.ts';
import { OutputTail } from './tail.ts';
import type { User } from './user.ts';

export { describe, type Ended, ok } from './describe.ts';

export interface Program {
  /** Program and arguments. A program with a slash in its name is relative to `cwd`. */
  argv: readonly string[];
  cwd: string;
  /** The whole environment: nothing of this process's own is added but the mark by which what it starts is found. */
  env: Readonly<Record<string, string>>;
  /** Whom it runs as, with this user's groups and no way to other rights. This process's own user where not given. */
  user?: User | undefined;
  timeoutMs: number;
  /** Between SIGTERM and SIGKILL. 10 s where not given. */
  graceMs?: number;
  signal?: AbortSignal;
  /** How much of the end of the output is kept. 16 KiB where not given. */
  tailBytes?: number;
  /** A file to which the whole output is appended. */
  log?: string;
  /** Stands before everything that is kept of the output, and takes out what must not be: see `KnownSecrets.stream`. */
  redact?: ((take: (chunk: Buffer) => void) => OutputFilter) | undefined;
  /** It may leave processes running when it ends by itself: a start command that starts a daemon. */
  leavesDaemons?: boolean;
}

export interface OutputFilter {
  push(chunk: Buffer): void;
  end(): void;
}

const GRACE_MS = 10_000;
const TAIL_BYTES = 16 * 1024;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export async function run(program: Program): Promise<Ended> {
  const since = performance.now();
  const output = new OutputTail(program.tailBytes ?? TAIL_BYTES);
  const log = openOutputLog(program.log);
  const say = (line: string) => output.push(Buffer.from(line));
  const ended = (reason: Ended['reason'], exit?: Exit): Ended => {
    const problem = log.close();
    if (problem !== undefined) say(`\n[fleet] ${problem}\n`);
    const { code, signal } = exit ?? { code: null, signal: null };
    return { reason, code, signal, output: output.read(), ms: performance.now() - since };
  };

  if (program.signal?.aborted) return ended('cancelled');
  const keep = (chunk: Buffer) => {
    output.push(chunk);
    log.append(chunk);
  };
  const filter = program.redact?.(keep) ?? { push: keep, end() {} };
  const pipe = await openPipe((chunk) => filter.push(chunk), program.user).catch((error: Error) => error);
  if (pipe instanceof Error) {
    say(`no pipe could be made: ${pipe.message}`);
    return ended('not_started');
  }
  try {
    const mark = randomUUID();
    const started = await spawnProgram(program, mark, pipe);
    pipe.closeWriter();
    if ('problem' in started) {
      say(started.problem);
      return ended('not_started');
    }
    const { reason, exit } = await untilEnd(started, program);
    await endLeftovers(started, mark, reason, program);
    pipe.drain();
    filter.end();
    return ended(reason, exit);
  } finally {
    pipe.close();
  }
}

/** The end by itself races against the reasons to end it; the first one is what is told. */
async function untilEnd(
  { pid, exited }: Started,
  { timeoutMs, graceMs = GRACE_MS, signal, user }: Program,
): Promise<{ reason: Ended['reason']; exit: Exit | undefined }> {
  let exit: Exit | undefined;
  const byItself = exited.then((how) => {
    exit = how;
    return how.signal === null ? 'exited' : 'signaled';
  });
  const stopping = new AbortController();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<'timeout' | 'cancelled'>();
  const timer = setTimeout(() => stop('timeout'), Math.min(timeoutMs, LONGEST_TIMER_MS));
  signal?.addEventListener('abort', () => stop('cancelled'), { signal: stopping.signal });
  if (signal?.aborted) stop('cancelled');

  const reason = await Promise.race([byItself, stopped]);
  clearTimeout(timer);
  stopping.abort();
  if (reason === 'timeout' || reason === 'cancelled') {
    const gone = () => exit !== undefined && !groupLives(pid);
    await endGroup(pid, { signal: 'SIGTERM', graceMs, gone, user });
  }
  return { reason, exit };
}

/** The group's number cannot have been given to others: its leader has ended only just now. */
async function endLeftovers(
  { pid, start }: Started,
  mark: string,
  reason: Ended['reason'],
  program: Program,
) {
  if (program.leavesDaemons && reason === 'exited') return;
  if (signalGroup(pid, 0)) await tellGroup(pid, 'SIGKILL', program.user);
  await killMarked(mark, program.user, start);
}
