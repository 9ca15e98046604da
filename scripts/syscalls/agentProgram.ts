/** A real agent with a service that runs, and a controller to tell it what to do: for looking at its system calls. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Built, build, FakeController } from '@fleet/agent/fakeController.fixture.ts';
import { killMarked } from '@fleet/process/ending.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Injection, ONE_THREAD, type Trace, threadsOf, traceThread } from '../tracing/strace.ts';
import { CALLS } from './points.ts';

const PROGRAM = fileURLToPath(import.meta.resolve('@fleet/agent/program.fixture.ts'));
const UNPACKER = fileURLToPath(import.meta.resolve('@fleet/artifact/apart.ts'));
const SERVICE = 'web';
const VERSIONS = ['1.0.0', '1.1.0', '1.2.0', '1.3.0'];
const SEALED = { run: { supervisor: 'process', command: ['sleep', '100000'] }, shared: ['data'] };
/** A thread that unpacks needs longer than this to begin. */
const LOOK_EVERY_MS = 1;

export class AgentProgram {
  readonly dir = mkdtempSync(join(tmpdir(), 'fleet-syscalls-'));
  readonly home = join(this.dir, 'root', SERVICE);
  readonly data = join(this.dir, 'data');
  readonly controller = new FakeController();
  #built: Built[] = [];
  #round = 0;
  #agent: ChildProcess | undefined;

  static async open(): Promise<AgentProgram> {
    const agent = new AgentProgram();
    try {
      await agent.controller.open();
      for (const version of VERSIONS)
        agent.#built.push(await build(SERVICE, version, SEALED, filesOf(version)));
      await agent.start();
      const [first] = agent.#built;
      await agent.controller.stage(first!);
      await agent.controller.activate(first!);
      await agent.controller.restart(first!);
    } catch (error) {
      await agent.close();
      throw error;
    }
    return agent;
  }

  get pid(): number {
    return this.#agent!.pid!;
  }

  /** What the service runs as: it must be the same one for ever. */
  servicePid(): number {
    const state = JSON.parse(readFileSync(join(this.home, 'run', 'state.json'), 'utf8'));
    return (state as { program: { pid: number } }).program.pid;
  }

  async start(): Promise<void> {
    const hello = this.controller.nextLink();
    const argv = ['--host', 'a', '--controller', this.controller.url];
    const where = ['--root', join(this.dir, 'root'), '--data', this.data];
    const child = spawn(process.execPath, [PROGRAM, ...argv, ...where], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...ONE_THREAD },
    });
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
    });
    this.#agent = child;
    const early = once(child, 'exit').then(() =>
      Promise.reject(new Error(`the agent did not start: ${said}`)),
    );
    early.catch(() => {});
    await Promise.race([hello, early]);
  }

  /** Starts it again where it has ended. Whether it had to. */
  async revive(): Promise<boolean> {
    // Its end may be on its way.
    if (this.#agent?.exitCode === null && this.#agent.signalCode === null) return false;
    await this.start();
    return true;
  }

  async restart(): Promise<void> {
    this.#agent?.kill('SIGKILL');
    await this.ended();
    await this.start();
  }

  /** Resolves when it has ended. */
  async ended(): Promise<void> {
    const agent = this.#agent!;
    if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
  }

  /** The version that comes next: of three that take turns only the newest two stay, so that each has to be sent again. */
  next(): Built {
    this.#round += 1;
    return this.#built[1 + (this.#round % (VERSIONS.length - 1))]!;
  }

  /** Stages, activates and prunes. The code of the error that it ended with, null where there was none. */
  async deploy(built: Built, id?: string): Promise<string | null> {
    const command = this.controller.command();
    try {
      await this.controller.stage(built);
      await this.controller.activate(built, id);
      await this.controller.ask('release.prune', { command, service: SERVICE, keep: 2, protect: [] });
      return null;
    } catch (error) {
      return error instanceof FleetError ? error.code : String(error);
    }
  }

  /** Looks at the thread that the next unpacking is done in, from its beginning. */
  async traceNextThread(injection?: Injection): Promise<Trace> {
    const before = new Set(threadsOf(this.pid).map(({ thread }) => thread));
    const fresh = () => threadsOf(this.pid).find(({ thread }) => !before.has(thread));
    let found = fresh();
    while (!found) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      found = fresh();
    }
    process.kill(this.pid, 'SIGSTOP');
    try {
      return await traceThread(found.thread, CALLS, injection);
    } finally {
      process.kill(this.pid, 'SIGCONT');
    }
  }

  /** Looks at the process that the next unpacking is done in, from its beginning. */
  async traceNextChild(injection?: Injection): Promise<Trace> {
    let found = childOf(this.pid, UNPACKER);
    while (found === undefined) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      found = childOf(this.pid, UNPACKER);
    }
    process.kill(found, 'SIGSTOP');
    try {
      return await traceThread(found, CALLS, injection);
    } finally {
      process.kill(found, 'SIGCONT');
    }
  }

  releases(): string[] {
    return readdirSync(join(this.home, 'releases')).sort();
  }

  async close(): Promise<void> {
    this.#agent?.kill('SIGKILL');
    if (this.#agent) await this.ended();
    await this.controller.close();
    await killMarked(join(this.home, 'run'));
    for (const built of this.#built) await built.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

function filesOf(version: string): Record<string, string> {
  return { version, 'a/one': 'one', 'a/two': 'two '.repeat(20_000), 'b/c/three': 'three' };
}

/** The child that runs this program. */
function childOf(parent: number, program: string): number | undefined {
  const children = threadsOf(parent).flatMap(({ thread }) =>
    readFileSync(`/proc/${parent}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean),
  );
  const found = children.find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(program);
    } catch {
      return false;
    }
  });
  return found === undefined ? undefined : Number(found);
}
