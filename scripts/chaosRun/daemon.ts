/** A program that is kept running as an init system keeps it: what ends by itself is started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { PATH } from '../machines/commands.ts';

const RESTART_MS = 500;

export interface DaemonOptions {
  argv: readonly string[];
  cwd: string;
  log: string;
  /** Each line that it prints; without it, all goes to the log. */
  onLine?: (line: string) => void;
}

export class Daemon {
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;
  #wanted = false;
  #again: NodeJS.Timeout | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    clearTimeout(this.#again);
    this.#wanted = true;
    if (this.#child !== undefined) return;
    const { argv, cwd, log, onLine } = this.#options;
    const [program = '', ...rest] = argv;
    const file = openSync(log, 'a');
    const child = spawn(program, rest, {
      cwd,
      env: { ...process.env, PATH },
      stdio: ['ignore', onLine === undefined ? file : 'pipe', file],
    });
    closeSync(file);
    this.#child = child;
    child.on('error', () => {});
    let unfinished = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (unfinished + text).split('\n');
      unfinished = lines.pop() ?? '';
      for (const line of lines) onLine?.(line);
    });
    child.once('exit', () => {
      this.#child = undefined;
      if (this.#wanted) this.#again = setTimeout(() => this.start(), RESTART_MS);
    });
  }

  /** It stays down until it is started. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#again);
    const child = this.#child;
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }
}
