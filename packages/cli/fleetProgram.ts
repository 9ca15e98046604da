/** For tests: the program as a user starts it, a child process of bin/fleet.js. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const LAUNCHER = fileURLToPath(new URL('./bin/fleet.js', import.meta.url));

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}
export interface Running {
  child: ChildProcessWithoutNullStreams;
  ended: Promise<Ended>;
  /** Resolves when stdout or stderr has this text; rejects when the program ends without it. */
  says(text: string): Promise<void>;
}
export interface Setting {
  cwd?: string;
  environment?: Record<string, string | undefined>;
  /** Another program and its arguments in front of fleet's own. */
  through?: string[];
  /** stdin is a pipe that the test writes to. */
  typing?: boolean;
}

export function startFleet(argv: string[], { cwd, environment, through, typing }: Setting = {}): Running {
  const [program, ...rest] = [...(through ?? [process.execPath, LAUNCHER]), ...argv];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC', TERM: 'xterm', ...environment };
  const child = spawn(program as string, rest, { cwd, env, stdio: 'pipe' });
  child.stdin.on('error', () => {});
  if (!typing) child.stdin.end();
  const printed = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const)
    child[name]
      .setEncoding('utf8')
      .on('error', () => {})
      .on('data', (text: string) => {
        printed[name] += text;
        for (const check of waiting) check();
      });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...printed }));
  });
  return {
    child,
    ended,
    says: (text) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (!printed.stdout.includes(text) && !printed.stderr.includes(text)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
        void ended.then(() =>
          reject(new Error(`ended without saying ${JSON.stringify(text)}: ${JSON.stringify(printed)}`)),
        );
      }),
  };
}

export function runFleet(argv: string[], setting?: Setting): Promise<Ended> {
  return startFleet(argv, setting).ended;
}
