/** Starting a program in a session and process group of its own, with its output in one pipe. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { MARKER } from './ending.ts';
import type { Pipe } from './pipe.ts';
import { statOf } from './proc.ts';
import { launchAs, type User } from './user.ts';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface Started {
  /** Also the group's number. */
  pid: number;
  /** Ticks after the boot. */
  start: number;
  exited: Promise<Exit>;
}

interface ToStart {
  argv: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  user?: User | undefined;
}

/** Resolves when the program is executing, or with the reason why it is not. Never rejects. */
export async function spawnProgram(
  { argv, cwd, env, user }: ToStart,
  mark: string,
  pipe: Pipe,
): Promise<Started | { problem: string }> {
  let child: ChildProcess;
  let program = argv[0] ?? '';
  try {
    const { prefix, environment } =
      user === undefined ? { prefix: [], environment: env } : launchAs(user, env);
    const [first = '', ...args] = [...prefix, ...argv];
    program = first;
    child = spawn(program, args, {
      cwd,
      env: { ...environment, [MARKER]: mark },
      detached: true,
      stdio: ['ignore', pipe.writer, pipe.writer],
    });
  } catch (error) {
    return { problem: problemOf(error, program, cwd) };
  }
  const exited = new Promise<Exit>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ problem: problemOf(error, program, cwd) }));
    child.once('spawn', () => resolve({ pid: child.pid!, start: statOf(child.pid!)?.start ?? 0, exited }));
  });
}

/** Node says "spawn PROGRAM ENOENT" also where it is the directory that is missing. */
function problemOf(error: unknown, program: string, cwd: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (!existsSync(cwd)) return `the directory ${cwd} does not exist`;
  if (code === 'ENOENT') return `there is no program ${program} (ENOENT)`;
  if (code === 'EACCES' || code === 'EPERM') return `${program} may not be executed (${code})`;
  return message;
}
