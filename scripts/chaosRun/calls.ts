/** Calls of the command line, as a person or a CI job makes them, each written down with how it ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { FLEET } from '../local/program.ts';
import { CONTROLLER_URL, inside } from '../machines/namespaces.ts';
import { now, type Recording } from './recording.ts';

/** A call that watches a deployment to its end, through whatever the nemesis does meanwhile. */
export const WATCHING_MS = 240_000;
/** Any other. */
export const ASKING_MS = 45_000;
/** A call that is later than its deadline by this much is ended. */
const GRACE_MS = 10_000;

export interface Called {
  exit: number | null;
  /** By the nemesis. */
  killed: boolean;
  json: unknown;
  stderr: string;
}

interface Running {
  child: ChildProcess;
  argv: readonly string[];
  killed: boolean;
}

export class Calls {
  readonly #namespace: string;
  readonly #recording: Recording;
  readonly #running = new Map<number, Running>();
  #ended: string[] = [];
  #count = 0;

  constructor(namespace: string, recording: Recording) {
    this.#namespace = namespace;
    this.#recording = recording;
  }

  async call(argv: string[], deadlineMs = ASKING_MS): Promise<Called> {
    const id = ++this.#count;
    this.#recording.timeline({ at: now(), kind: 'call.begin', id, argv, deadlineMs });
    const [program = '', ...rest] = inside(this.#namespace, [process.execPath, FLEET, ...argv]);
    const child = spawn(program, rest, {
      env: { ...process.env, FLEET_CONTROLLER: CONTROLLER_URL },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running: Running = { child, argv, killed: false };
    this.#running.set(id, running);
    child.on('error', () => {});
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const late = setTimeout(() => child.kill('SIGKILL'), deadlineMs + GRACE_MS);
    const [exit] = (await once(child, 'close')) as [number | null];
    clearTimeout(late);
    this.#running.delete(id);
    const called = {
      exit,
      killed: running.killed,
      json: argv.includes('--json') ? parse(stdout) : null,
      stderr,
    };
    this.#recording.timeline({ at: now(), kind: 'call.end', id, ...called });
    if (argv[0] !== 'status') this.#ended.push(`${argv[0]} ${running.killed ? 'killed' : exit}`);
    return called;
  }

  /** What ended since the last time that this was asked: the verb, and its exit status. */
  takeEnded(): string[] {
    return this.#ended.splice(0);
  }

  /** Calls that watch a deployment. */
  watching(): number[] {
    return [...this.#running].filter(([, { argv }]) => argv[0] !== 'status').map(([id]) => id);
  }

  /** The nemesis ends a call, as a closed laptop would. */
  kill(id: number): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.killed = true;
    running.child.kill('SIGKILL');
  }

  killAll(): void {
    for (const id of this.#running.keys()) this.kill(id);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
