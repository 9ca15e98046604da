/**
 * A fleet as teams have one: hosts that are booted with nothing on them, HAProxy in front, and a controller that reaches them over
 * the network alone. For tests, and for showing it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FLEET, type Program, type Ran, startProgram, waitUntil } from '../local/program.ts';
import { PATH } from './commands.ts';
import { adminSocket, BACKEND, lookAtServers, usersSocket, writeHaproxy } from './haproxy.ts';
import { sweepLeft } from './leftovers.ts';
import { Machine } from './machine.ts';
import { CONTROLLER_PORT, HUB_ADDRESS, inside, Namespaces } from './namespaces.ts';
import { makeSegmenter } from './segmenter.ts';
import type { Server } from './servers.ts';

/** Namespaces and folders bear the number of the process that made them. */
const PREFIX = 'fleet-real-';
const BUNDLE = new URL('../bundle', import.meta.url).pathname;
/** Where a controller of this checkout looks for them. */
const PROGRAMS = new URL('../../dist/programs', import.meta.url).pathname;

export interface RealFleetOptions {
  /** Every host there will be: each has its cable from the beginning, and boots when it is told to. */
  hosts: string[];
  /** Hosts that HAProxy's configuration names; all of them where this is left out. */
  inHaproxy?: string[];
  /** controller.yaml, less `listen` and `data`; `fleetConfig` has a usual one. */
  config(fleet: RealFleet): string;
}

export interface Command {
  argv: string[];
  env: NodeJS.ProcessEnv;
  cwd: string;
}

export class RealFleet {
  readonly dir: string;
  readonly network: Namespaces;
  readonly machines = new Map<string, Machine>();
  controller: Program | undefined;
  #haproxy: Program | undefined;
  readonly #options: RealFleetOptions;
  /** What the operator's SSH logs in with. */
  readonly sshKey: string;
  readonly knownHosts: string;

  private constructor(options: RealFleetOptions) {
    this.#options = options;
    // Short, because a socket's path is.
    this.dir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    this.network = new Namespaces(`${PREFIX}${process.pid}`, options.hosts);
    this.sshKey = join(this.dir, '.ssh/id_ed25519');
    this.knownHosts = join(this.dir, '.ssh/known_hosts');
  }

  /** With network, balancer and configuration; no host is booted and no controller runs. */
  static async create(options: RealFleetOptions): Promise<RealFleet> {
    sweepLeft(PREFIX);
    const fleet = new RealFleet(options);
    try {
      mkdirSync(join(fleet.dir, '.ssh'), { mode: 0o700 });
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'operator', '-f', fleet.sshKey]);
      writeFileSync(fleet.knownHosts, '');
      // ./scripts/test has made them anew; whoever runs one test alone, after a change of the agent: ./scripts/bundle --programs
      if (!existsSync(PROGRAMS)) execFileSync(BUNDLE, ['--programs', '--platform', `linux-${process.arch}`]);
      fleet.network.create();
      makeSegmenter(join(fleet.dir, 'segmenter'));
      fleet.configure();
      await fleet.#startHaproxy();
      return fleet;
    } catch (error) {
      await fleet.remove();
      throw error;
    }
  }

  /** Writes controller.yaml anew; a controller that runs reads it at its next start. */
  configure(): void {
    const text = `listen: ${HUB_ADDRESS}:${CONTROLLER_PORT}\ndata: ./data\n${this.#options.config(this)}`;
    writeFileSync(join(this.dir, 'controller.yaml'), text);
  }

  get url(): string {
    return `https://${HUB_ADDRESS}:${CONTROLLER_PORT}`;
  }
  addressOf(host: string): string {
    return this.network.addressOf(host);
  }
  machine(host: string): Machine {
    const machine = this.machines.get(host);
    if (machine === undefined) throw new Error(`${host} was never booted`);
    return machine;
  }

  /** Boots hosts side by side. The operator's key is let in as root, and the operator knows their keys. */
  async boot(...hosts: string[]): Promise<void> {
    const authorized = readFileSync(`${this.sshKey}.pub`, 'utf8').trim();
    const machines = hosts.map((name) => {
      const folder = join(this.dir, 'machines', name);
      mkdirSync(folder, { recursive: true });
      const namespace = this.network.of(name);
      const machine = new Machine({ name: `${name}-${process.pid}`, namespace, folder, authorized });
      this.machines.set(name, machine);
      appendFileSync(this.knownHosts, `${this.addressOf(name)} ${machine.hostKey}\n`);
      return machine;
    });
    await Promise.all(machines.map((machine) => machine.boot()));
  }

  /** With keys of its own the first time. Resolves when it answers. */
  async startController(): Promise<void> {
    if (this.controller === undefined) await this.well('init', 'controller');
    const { argv, cwd, env } = this.command('controller', '--config', 'controller.yaml');
    this.controller = startProgram(argv, { cwd, log: join(this.dir, 'controller.log'), env });
    await waitUntil(
      'the controller answers',
      async () => (await this.run('hosts', '--json')).code === 0,
      this.controller,
    );
  }

  /** All of it, so that nobody's real login and SSH agent are touched. */
  get #env(): Record<string, string> {
    return {
      PATH,
      HOME: this.dir,
      FLEET_LOGIN: join(this.dir, 'login.json'),
      FLEET_CONTROLLER: this.url,
    };
  }

  /** What a command needs to be run in the network of controller and operator; for terminals and odd cases. */
  command(...argv: string[]): Command {
    return this.commandWith({}, ...argv);
  }
  /** With variables of the operator's own. */
  commandWith(more: Record<string, string>, ...argv: string[]): Command {
    const env = { TERM: process.env.TERM ?? 'dumb', ...this.#env, ...more };
    // Clean from here on: a test runner gives every child what it needs itself, past what is asked for.
    const clean = ['env', '-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
    const whole = inside(this.network.hub, [...clean, process.execPath, FLEET, ...argv]);
    return { argv: whole, env: { PATH, ...env }, cwd: this.dir };
  }

  /** `fleet` as the operator runs it, to its end. */
  async run(...argv: string[]): Promise<Ran> {
    const {
      argv: [program = '', ...rest],
      env,
      cwd,
    } = this.command(...argv);
    const child = spawn(program, rest, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        said[name] += text;
      });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...said };
  }

  /** `run`, held to exit status 0. */
  async well(...argv: string[]): Promise<Ran> {
    const ran = await this.run(...argv);
    if (ran.code === 0) return ran;
    throw new Error(`fleet ${argv.join(' ')} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`);
  }

  async #startHaproxy(): Promise<void> {
    const { hosts, inHaproxy = hosts } = this.#options;
    const servers = inHaproxy.map((name) => ({ name, address: `${this.addressOf(name)}:8080` }));
    const file = writeHaproxy(this.dir, servers);
    this.#haproxy = startProgram(inside(this.network.hub, ['haproxy', '-db', '-f', file]), {
      cwd: this.dir,
      log: join(this.dir, 'haproxy.log'),
      env: { PATH },
    });
    const answers = () =>
      this.servers().then(
        () => true,
        () => false,
      );
    await waitUntil('HAProxy answers', answers, this.#haproxy);
  }

  /** As HAProxy itself says, asked past the controller. */
  servers(): Promise<Server[]> {
    return lookAtServers(this.dir);
  }
  /** Where users' requests go. */
  get users(): string {
    return usersSocket(this.dir);
  }

  /** Ends and takes away everything. */
  async remove(): Promise<void> {
    await this.controller?.stop();
    await this.#haproxy?.stop();
    for (const machine of this.machines.values()) await machine.remove();
    this.network.remove();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The segmenter on every host of the role, behind HAProxy. `profiles` is put below it as it is. */
export function fleetConfig(fleet: RealFleet, profiles = ''): string {
  return `services:
  segmenter: { source: { git: ./segmenter, ref: main } }
balancers:
  front: { kind: haproxy, address: ${adminSocket(fleet.dir)} }
environments:
  production:
    services:
      segmenter:
        hosts: { environment: production, role: segmenter }
        balancer: { name: front, backend: ${BACKEND}, address: "{label.address}:8080" }
        strategy: { drain: 2s, settle: 500ms, patience: 20s }
        values: { PORT: 8080 }
${profiles}`;
}
