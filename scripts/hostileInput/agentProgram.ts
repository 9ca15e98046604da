/** A real agent, a process of its own, between neighbours that nothing may touch; and a controller to send it what it should refuse. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Built, build, FakeController } from '@fleet/agent/fakeController.fixture.ts';
import { killMarked } from '@fleet/process/ending.ts';
import { type Found, survey } from './survey.ts';

const PROGRAM = fileURLToPath(import.meta.resolve('@fleet/cli/bin/fleet.js'));
export const SERVICE = 'web';
const GOOD = '1.0.0';
export const SEALED = { service: SERVICE, run: { supervisor: 'process', command: ['sleep', '100000'] } };

export class AgentProgram {
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'fleet-hostile-')));
  /** Holds the agent's root and, beside it, what is none of its business. */
  readonly world = join(this.dir, 'world');
  readonly root = join(this.world, 'root');
  readonly home = join(this.root, SERVICE);
  readonly controller = new FakeController();
  #agent: ChildProcess | undefined;
  #said = '';
  #good: Built | undefined;

  /** One with a release that is current. */
  static async open(): Promise<AgentProgram> {
    const agent = new AgentProgram();
    try {
      mkdirSync(join(agent.world, 'beside/etc'), { recursive: true });
      for (const name of ['a', 'etc/passwd', 'd', 'l'])
        writeFileSync(join(agent.world, 'beside', name), 'mine');
      await agent.controller.open();
      agent.#good = await build(SERVICE, GOOD, SEALED, { 'a/b': 'good', run: 'good' });
      await agent.#start();
      await agent.controller.stage(agent.#good);
      await agent.controller.activate(agent.#good);
      return agent;
    } catch (error) {
      await agent.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const hello = this.controller.nextLink();
    const argv = ['--host', 'web-1', '--controller', this.controller.url];
    const where = ['--root', this.root, '--data', join(this.dir, 'data')];
    const agent = spawn(process.execPath, [PROGRAM, 'agent', ...argv, ...where], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#agent = agent;
    agent.stderr.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-4000);
    });
    const early = once(agent, 'exit').then(() =>
      Promise.reject(new Error(`the agent has ended: ${this.#said}`)),
    );
    early.catch(() => {});
    await Promise.race([hello, early]);
  }

  get pid(): number {
    return this.#agent?.pid ?? 0;
  }

  /** Why it is not well; undefined where it answers and what was current still is. */
  async complaint(): Promise<string | undefined> {
    if (this.#agent?.exitCode !== null || this.#agent.signalCode !== null)
      return `the agent has ended: ${this.#said}`;
    const { current, identity } = await this.controller.ask('step.report', { service: SERVICE });
    if (current !== GOOD || identity !== this.#good?.manifest.identity) return `current is ${current}`;
    const target = readlinkSync(join(this.home, 'current'));
    return target === `releases/${GOOD}` ? undefined : `current leads to ${target}`;
  }

  /** All that it may not have changed: its data directory lies elsewhere. */
  look(passes?: (path: string) => boolean): Found[] {
    return survey(this.world, passes);
  }

  /** Bytes of memory that it has. */
  memory(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }

  async close(): Promise<void> {
    this.#agent?.kill('SIGKILL');
    if (this.#agent && this.#agent.exitCode === null && this.#agent.signalCode === null)
      await once(this.#agent, 'exit');
    await this.controller.close();
    await killMarked(join(this.home, 'run'));
    await this.#good?.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
