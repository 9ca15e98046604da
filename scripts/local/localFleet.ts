/** A whole fleet on this machine, each part a process of its own: for the quickstart, for trying things out, and for tests. */
import { once } from 'node:events';
import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { supervisorFor } from '@fleet/agent/supervisors/kinds.ts';
import { wanted } from '@fleet/agent/supervisors/spec.ts';
import { type Login, readLogin } from '@fleet/trust/login.ts';
import { clientOptions } from '@fleet/trust/tls.ts';
import { freePorts } from './ports.ts';
import {
  FLEET,
  type Program,
  type Ran,
  type RunOptions,
  runFleet,
  startProgram,
  waitUntil,
} from './program.ts';

/** In the fleet's own folder: nobody's real login is touched. */
const LOGIN = 'login.json';

/** In the fleet's folder, where no other is named. */
type Running = Partial<RunOptions>;

export interface LocalHost {
  host: string;
  labels: Record<string, string | number>;
  /** Where its agent finds the controller, if not where that listens. */
  dials?: number;
}

export interface LocalFleetOptions {
  dir: string;
  hosts: LocalHost[];
  /** controller.yaml, less `listen`, which is given. */
  config: string;
  /** With keys, certificates and tokens, as a fleet in earnest; without it, in development. */
  secure?: boolean;
  env?: NodeJS.ProcessEnv;
  /** The fleet lives on when this process ends. */
  outlives?: boolean;
  /** What is installed on this machine, in place of the checkout: programs with their first arguments. */
  installed?: { fleet: string[]; agent: string[] };
  /** Arguments of Node itself for a program: `controller`, or `agent-HOST`. */
  node?: (program: string) => string[];
}

export class LocalFleet {
  readonly dir: string;
  readonly url: string;
  readonly #port: number;
  readonly #secure: boolean;
  readonly #hosts: Map<string, LocalHost>;
  readonly #env: NodeJS.ProcessEnv;
  readonly #outlives: boolean | undefined;
  readonly #node: (program: string) => string[];
  readonly #installed: LocalFleetOptions['installed'];
  controller: Program | undefined;
  readonly agents = new Map<string, Program>();
  /** What its hosts have joined with. */
  readonly joinStrings: string[] = [];

  private constructor(options: LocalFleetOptions, port: number) {
    this.dir = options.dir;
    this.#port = port;
    this.#secure = options.secure ?? false;
    this.url = `${this.#secure ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.#hosts = new Map(options.hosts.map((host) => [host.host, host]));
    this.#outlives = options.outlives;
    this.#node = options.node ?? (() => []);
    this.#installed = options.installed;
    this.#env = { ...options.env, FLEET_CONTROLLER: this.url, FLEET_LOGIN: join(options.dir, LOGIN) };
  }

  /** Writes the configuration; starts nothing. */
  static async create(options: LocalFleetOptions): Promise<LocalFleet> {
    const [port = 0, agentsPort = 0] = await freePorts(2);
    const fleet = new LocalFleet(options, port);
    mkdirSync(join(options.dir, 'hosts'), { recursive: true });
    const how = options.secure ? `listen_agents: 127.0.0.1:${agentsPort}` : 'development: true';
    // Whether somebody has made bundles in this checkout makes no difference.
    const programs = options.installed ? '' : 'programs: ./no-programs\n';
    writeFileSync(
      join(options.dir, 'controller.yaml'),
      `listen: 127.0.0.1:${port}\n${how}\n${programs}${options.config}`,
    );
    for (const host of options.hosts) fleet.#writeAgent(host);
    return fleet;
  }

  rootOf(host: string): string {
    return join(this.dir, 'hosts', host);
  }

  #writeAgent({ host, labels, dials }: LocalHost): void {
    mkdirSync(this.rootOf(host), { recursive: true });
    if (this.#secure) {
      // What else it is, it learns when it joins.
      const lines = [
        `root: ${this.rootOf(host)}`,
        ...(dials === undefined ? [] : [`controller: wss://127.0.0.1:${dials}`]),
        'policy: { run_as: { "*": self }, root_hooks: true }',
      ];
      writeFileSync(join(this.dir, `agent-${host}.yaml`), `${lines.join('\n')}\n`);
      return;
    }
    const written = Object.entries(labels).map(([name, value]) => `  ${name}: "${value}"`);
    const lines = [
      `host: ${host}`,
      `controller: ws://127.0.0.1:${dials ?? this.#port}`,
      `root: ${this.rootOf(host)}`,
      'labels:',
      ...written,
      // All of it is one person's, on one machine.
      'policy: { run_as: { "*": self }, root_hooks: true }',
    ];
    writeFileSync(join(this.dir, `agent-${host}.yaml`), `${lines.join('\n')}\n`);
  }

  async start(): Promise<void> {
    if (this.#secure) await this.well(['init', 'controller']);
    await this.startController();
    if (this.#secure) await Promise.all([...this.#hosts.values()].map((host) => this.join(host)));
    await Promise.all([...this.#hosts.keys()].map((host) => this.startAgent(host)));
  }

  /** `program`: another one than this checkout's. */
  async startController(program = FLEET): Promise<void> {
    const fleet = this.#installed?.fleet ?? [process.execPath, ...this.#node('controller'), program];
    this.controller = startProgram([...fleet, 'controller', '--config', 'controller.yaml'], {
      cwd: this.dir,
      log: join(this.dir, 'controller.log'),
      env: this.#env,
      outlives: this.#outlives,
    });
    await waitUntil('the controller answers', () => this.answers(), this.controller);
  }

  /** As a person does it: a token where the fleet is administered, and its string on the host. */
  async join({ host, labels }: LocalHost): Promise<void> {
    const given = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
    const { stdout } = await this.well(['token', 'create', '--host', host, ...given]);
    this.joinStrings.push(stdout.trim());
    const program = this.#installed?.agent;
    const argv = [...(program ? [] : ['agent']), 'join', '--config', `agent-${host}.yaml`];
    await this.well(argv, { input: stdout, program });
  }

  /** `run`, held to exit status 0. */
  async well(argv: string[], options: Running = {}): Promise<Ran> {
    const ran = await this.run(argv, options);
    if (ran.code !== 0) throw new Error(`fleet ${argv.join(' ')} ended with ${ran.code}: ${ran.stderr}`);
    return ran;
  }

  async answers(): Promise<boolean> {
    return this.get('/api/hosts').then(
      () => true,
      () => false,
    );
  }

  /** What the API says there, as whoever ran `fleet init`. Throws where it says no. */
  async get(path: string): Promise<unknown> {
    if (!this.#secure) {
      const response = await fetch(this.url + path);
      if (response.ok) return response.json();
      throw new Error(`${path} is answered with ${response.status}`);
    }
    const response = await this.ask(path, this.login.token);
    const said = await json(response);
    if (response.statusCode === 200) return said;
    throw new Error(`${path} is answered with ${response.statusCode}: ${JSON.stringify(said)}`);
  }

  /** The login that `fleet init` has written. */
  get login(): Login {
    return readLogin(join(this.dir, LOGIN))!;
  }

  /** Where it is secure: the answer to whoever has that token, from its beginning. */
  async ask(path: string, token: string): Promise<IncomingMessage> {
    const asking = request(this.url + path, {
      ...clientOptions(this.login),
      agent: false,
      headers: { authorization: `Bearer ${token}` },
    }).end();
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    return response;
  }

  /** Started, and connected. */
  async startAgent(host: string, program = FLEET): Promise<void> {
    const node = this.#node(`agent-${host}`);
    const installed = this.#installed?.agent ?? [process.execPath, ...node, program, 'agent'];
    const agent = startProgram([...installed, '--config', `agent-${host}.yaml`], {
      cwd: this.dir,
      log: join(this.dir, `agent-${host}.log`),
      env: this.#env,
      outlives: this.#outlives,
    });
    this.agents.set(host, agent);
    await waitUntil(`${host} is connected`, () => this.isConnected(host), agent);
  }

  async isConnected(host: string): Promise<boolean> {
    const said = await this.get('/api/hosts').catch(() => []);
    const hosts = said as Array<{ host: string; connected: boolean }>;
    return hosts.some((each) => each.host === host && each.connected);
  }

  /** Runs `fleet` as a person at this fleet would. */
  run(argv: string[], options: Running = {}): Promise<Ran> {
    const { program = this.#installed?.fleet, ...more } = options;
    return runFleet(argv, { cwd: this.dir, program, ...more, env: { ...this.#env, ...options.env } });
  }

  /** Ends everything that was started, the services too, which would outlive their agents. */
  async stop(): Promise<void> {
    await this.controller?.stop();
    await Promise.all([...this.agents.values()].map((agent) => agent.stop()));
    await stopServicesOf(this.dir);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Ends what agents supervise below a fleet's directory, whether their agents are there or not. */
export async function stopServicesOf(dir: string): Promise<void> {
  for (const path of globSync('hosts/*/*/run', { cwd: dir })) {
    const home = join(dir, path);
    const spec = await wanted(home);
    if (spec !== undefined)
      await supervisorFor(spec.run).stop({
        host: 'here',
        secrets: {},
        ...spec,
        home,
        argvOf: (argv) => argv,
      });
  }
}
