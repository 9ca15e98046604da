/** A program started by a script, as a user starts it: its own process, its own log, ended by its id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface Program {
  pid: number;
  log: string;
  ended: Promise<number | null>;
  running(): boolean;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export const FLEET = new URL('../../packages/cli/bin/fleet.js', import.meta.url).pathname;

export function startProgram(
  argv: string[],
  options: { cwd: string; log: string; env?: NodeJS.ProcessEnv; outlives?: boolean | undefined },
): Program {
  const [program = '', ...rest] = argv;
  const log = openSync(options.log, 'a');
  const child: ChildProcess = spawn(program, rest, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
    // In a session of its own it lives on when this process and its terminal are gone.
    detached: options.outlives ?? false,
  });
  closeSync(log);
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    pid: child.pid ?? 0,
    log: options.log,
    ended,
    running,
    stop: async (signal = 'SIGTERM') => {
      if (running()) child.kill(signal);
      await ended;
    },
  };
}

/** Looks every 20 ms until it is so. Throws with what the program printed when it ends first, or after `withinMs`. */
export async function waitUntil(
  what: string,
  look: () => Promise<boolean> | boolean,
  program?: Program,
  withinMs = 60_000,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await look())) {
    const over = performance.now() > end;
    if (over || program?.running() === false) {
      const said = program === undefined ? '' : `\n${readFileSync(program.log, 'utf8')}`;
      throw new Error(`${over ? 'waited too long' : 'the program ended while waiting'}: ${what}${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
  /** It also prints to this terminal. */
  show?: boolean;
  /** Another program than the checkout's, with its first arguments. */
  program?: string[] | undefined;
  /** What it finds in its stdin. */
  input?: string;
}

/** Runs `fleet` to its end. */
export async function runFleet(argv: string[], options: RunOptions): Promise<Ran> {
  const [program = '', ...first] = options.program ?? [process.execPath, FLEET];
  const child = spawn(program, [...first, ...argv], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // It may end without having read it.
  child.stdin.on('error', () => {}).end(options.input);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (options.show) process.stdout.write(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (options.show) process.stderr.write(text);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
