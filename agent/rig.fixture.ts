/** An agent as a process of its own, a root directory of its own, and a controller to talk to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killMarked } from '@fleet/process/ending.ts';
import type { Test } from 'tap';
import { type Built, build, FakeController, type Hello } from './fakeController.fixture.ts';
import { type Home, homeOf, listServices } from './releases/layout.ts';

const PROGRAM = fileURLToPath(new URL('program.fixture.ts', import.meta.url));

export interface Rig {
  controller: FakeController;
  root: string;
  /** The agent's own directory. */
  data: string;
  home(service: string): Home;
  build(...args: Parameters<typeof build>): Promise<Built>;
  /** Starts the agent and waits for its hello. */
  start(): Promise<Hello>;
  /** Ends the agent and waits for its end. What runs under it stays. */
  kill(signal: NodeJS.Signals): Promise<{ code: number | null; stderr: string }>;
}

export function runAgentProgram(args: string[]): {
  child: ChildProcess;
  ended: Promise<{ code: number | null; stderr: string }>;
} {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, stderr }));
  return { child, ended };
}

/** `root`: where releases go, if it must be a certain disk. `policy`: in agent.yaml. */
export async function openRig(
  t: Test,
  options: { root?: string; policy?: Record<string, unknown> } = {},
): Promise<Rig> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'fleet-agent-')));
  // Services may run as another user than the one that this belongs to.
  await chmod(directory, 0o755);
  const data = join(directory, 'data');
  const root = options.root ?? join(directory, 'root');
  const controller = await new FakeController().open();
  const built: Built[] = [];
  let agent: ReturnType<typeof runAgentProgram> | undefined;

  async function kill(signal: NodeJS.Signals) {
    if (!agent) throw new Error('no agent runs');
    const { child, ended } = agent;
    child.kill(signal);
    const end = await ended;
    agent = undefined;
    return end;
  }

  t.teardown(async () => {
    if (agent) await kill('SIGKILL');
    await controller.close();
    for (const service of await listServices(root)) await killMarked(homeOf(root, service).run);
    for (const one of built) await one.remove();
    await rm(directory, { recursive: true, force: true });
  });

  return {
    controller,
    root,
    data,
    home: (service) => homeOf(root, service),
    async build(...args) {
      const one = await build(...args);
      built.push(one);
      return one;
    },
    async start() {
      const hello = controller.nextLink();
      const file = join(directory, 'agent.yaml');
      await writeFile(file, JSON.stringify({ host: 'web-1', root, policy: options.policy ?? {} }));
      agent = runAgentProgram([
        ...['--config', file, '--controller', controller.url],
        ...['--root', root, '--data', data, '--label', 'role=web'],
      ]);
      const early = agent.ended.then(({ code, stderr }) => {
        throw new Error(`the agent ended with ${code} before its hello: ${stderr}`);
      });
      early.catch(() => {});
      return (await Promise.race([hello, early])).hello;
    },
    kill,
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return String(port);
}

/** Waits for a condition, and fails by the test's own timeout. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Says which version it is, and appends its version to data/visits with every request. */
export const WEB_SERVER = `
  import { appendFileSync } from 'node:fs';
  import { createServer } from 'node:http';
  createServer((request, response) => {
    appendFileSync('data/visits', process.env.FLEET_VERSION + '\\n');
    response.end(JSON.stringify({ version: process.env.FLEET_VERSION, host: process.env.FLEET_HOST, greeting: process.env.GREETING, cwd: process.cwd(), pid: process.pid }));
  }).listen(Number(process.argv[2]), '127.0.0.1');
`;

export const WEB = {
  variables: { PORT: {}, GREETING: { default: 'hello' } },
  run: {
    supervisor: 'process',
    command: ['node', 'server.mjs', '${PORT}'],
    environment: { GREETING: '${GREETING}' },
  },
  smoke: [{ name: 'answers', kind: 'http', port: '${PORT}', contains: '${VERSION}' }],
  shared: ['data'],
};

export interface Answer {
  version: string;
  host: string;
  greeting: string;
  cwd: string;
  pid: number;
}

export async function visit(port: string): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  return (await response.json()) as Answer;
}

/** Runs, and does nothing. */
export const WORKER = {
  run: { supervisor: 'process', command: ['node', '-e', 'setInterval(() => {}, 1000)'] },
};
