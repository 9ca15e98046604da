/** A real fleet of two hosts whose programs can be struck at a point, and whose agents' network can be cut. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { LocalFleet } from '../local/localFleet.ts';
import { freePorts } from '../local/ports.ts';
import type { Program, Ran } from '../local/program.ts';
import { type Case, HOSTS } from './cases.ts';
import { type Link, openLink } from './link.ts';
import { Repository, SERVICE } from './service.ts';

const ARM = new URL('arm.mjs', import.meta.url).href;
/** Two stay on a host, so that there is always one that a host has to be sent, and one that has to go. */
const VERSIONS = 4;

export interface Kept {
  at: number;
  event: { type: string; recap?: { exit: number; failure: unknown } };
}

export class Scene {
  readonly dir: string;
  readonly repository: Repository;
  readonly fleet: LocalFleet;
  readonly links: Map<string, Link>;
  readonly ports: Map<string, number>;
  readonly front: number;
  /** Passages of each point by each program in the last deployment that nothing happened to: `POINT PHASE PROGRAM`. */
  usual = new Map<string, number>();
  #plans = 0;
  #versions: string[] = [];

  private constructor(parts: Pick<Scene, 'dir' | 'repository' | 'fleet' | 'links' | 'ports' | 'front'>) {
    this.dir = parts.dir;
    this.repository = parts.repository;
    this.fleet = parts.fleet;
    this.links = parts.links;
    this.ports = parts.ports;
    this.front = parts.front;
  }

  /** Everything runs, versions are built, and two of them have been on the hosts. */
  static async start(): Promise<Scene> {
    const dir = mkdtempSync(join(tmpdir(), 'fleet-points-'));
    const [front = 0, ...free] = await freePorts(1 + HOSTS.length);
    const ports = new Map(HOSTS.map((host, index) => [host as string, free[index]!]));
    const links = new Map<string, Link>();
    for (const host of HOSTS) links.set(host, await openLink(() => Number(new URL(fleet.url).port)));
    mkdirSync(join(dir, 'points'));
    const repository = new Repository(join(dir, SERVICE));
    const fleet: LocalFleet = await LocalFleet.create({
      dir,
      hosts: HOSTS.map((host) => ({
        host,
        labels: { role: 'web', port: ports.get(host)! },
        dials: links.get(host)!.port,
      })),
      config: configuration(dir, front),
      node: (program) => ['--import', `${ARM}?${new URLSearchParams({ dir: join(dir, 'points'), program })}`],
    });
    const scene = new Scene({ dir, repository, fleet, links, ports, front });
    try {
      await fleet.start();
      await scene.#prepare();
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    for (let count = 0; count < VERSIONS; count++) {
      const version = this.repository.release();
      this.#versions.push(version);
      await this.expect(0, ['build', SERVICE, '--ref', `v${version}`]);
    }
    // The second one is like all that follow; the third one is the first that a host forgets another for.
    for (let count = 0; count < 3; count++) await this.deployPlainly();
  }

  /** A deployment that nothing happens to, and that has to succeed. */
  async deployPlainly(): Promise<void> {
    const before = this.passages();
    const { id } = await this.ask<{ id: number }>('/api/deployments', {
      service: SERVICE,
      version: this.absent(),
    });
    const { recap } = (await this.events(id)).at(-1)!.event;
    if (recap?.exit !== 0) throw new Error(`a plain deployment ended with ${JSON.stringify(recap)}`);
    this.usual = new Map([...this.passages()].map(([key, count]) => [key, count - (before.get(key) ?? 0)]));
  }

  /** What the controller answers; with a body, to a POST. */
  async ask<T>(path: string, body?: object): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    const init = body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) };
    const response = await fetch(`${this.fleet.url}${path}`, init);
    if (!response.ok)
      throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }

  async expect(status: number, argv: string[]): Promise<Ran> {
    const ran = await this.fleet.run(argv);
    if (ran.code === status) return ran;
    throw new Error(`fleet ${argv.join(' ')} ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  }

  /** A version that was built and that as few hosts as can be have. */
  absent(): string {
    const there = HOSTS.flatMap((host) => readdirSync(join(this.home(host), 'releases')));
    const holders = (version: string) => there.filter((name) => name === version).length;
    return this.#versions.toSorted((one, other) => holders(one) - holders(other))[0]!;
  }

  home(host: string): string {
    const home = join(this.fleet.rootOf(host), SERVICE);
    mkdirSync(join(home, 'releases'), { recursive: true });
    return home;
  }

  current(host: string): string | null {
    try {
      return basename(readlinkSync(join(this.home(host), 'current')));
    } catch {
      return null;
    }
  }

  program(name: string): Program {
    const program =
      name === 'controller' ? this.fleet.controller : this.fleet.agents.get(name.slice('agent-'.length));
    if (program === undefined) throw new Error(`${name} was never started`);
    return program;
  }

  /** Has a program struck at the case's point the next time that it gets there often enough. */
  arm({ point, phase, fault, program, share }: Case): void {
    const usual = this.usual.get(`${point} ${phase} ${program}`) ?? 1;
    const hit = Math.min(usual, 1 + Math.floor(share * usual));
    const plan = { id: ++this.#plans, point, phase, fault, hit };
    writeFileSync(this.#file(program, 'plan'), JSON.stringify(plan));
  }
  disarm(program: string): void {
    for (const kind of ['plan', 'struck'] as const) rmSync(this.#file(program, kind), { force: true });
  }
  isStruck(program: string): boolean {
    return existsSync(this.#file(program, 'struck'));
  }
  #file(program: string, kind: 'plan' | 'struck'): string {
    return join(this.dir, 'points', `${program}.${kind}`);
  }

  /** How often each point was passed since the start, by `POINT PHASE PROGRAM`. */
  passages(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const line of readOrEmpty(join(this.dir, 'points/passages')).split('\n'))
      if (line !== '') counts.set(line, (counts.get(line) ?? 0) + 1);
    return counts;
  }

  /** What the service's programs wrote of themselves so far. */
  get programLog(): string[] {
    return readOrEmpty(join(this.dir, 'programs.log')).split('\n').slice(0, -1);
  }

  /** The number and state of the newest deployment; 0 where there is none. */
  async newest(): Promise<{ id: number; state: string }> {
    const [row] = await this.ask<Array<{ id: number; state: string }>>('/api/deployments?limit=1');
    return row ?? { id: 0, state: 'none' };
  }

  /** What was kept of a deployment that has ended. */
  async events(deployment: number): Promise<Kept[]> {
    const topic = encodeURIComponent(`deployment/${deployment}`);
    const response = await fetch(`${this.fleet.url}/api/events?topic=${topic}`);
    const kept: Kept[] = [];
    let text = '';
    for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
      text += bytes;
      const messages = text.split('\n\n');
      text = messages.pop() ?? '';
      for (const message of messages) {
        const data = /^data: (.*)$/m.exec(message)?.[1];
        if (data === undefined) continue;
        const { at, event } = JSON.parse(data) as { at: string; event: { type: string } };
        kept.push({ at: Date.parse(at), event });
        if (event.type === 'deployment.ended') return kept;
      }
    }
    return kept;
  }

  async stop(): Promise<void> {
    for (const name of ['controller', ...HOSTS.map((host) => `agent-${host}`)]) {
      this.disarm(name);
      const program = name === 'controller' ? this.fleet.controller : this.fleet.agents.get(name.slice(6));
      if (program?.running()) process.kill(program.pid, 'SIGCONT');
    }
    for (const link of this.links.values()) link.heal('reset');
    await this.fleet.stop();
    for (const link of this.links.values()) await link.close();
  }
}

function configuration(dir: string, front: number): string {
  return `data: ./data
services:
  ${SERVICE}: { source: { git: ./${SERVICE}, ref: main }, keep: 2 }
balancers:
  front: { kind: embedded, listen: "127.0.0.1:${front}" }
environments:
  production:
    services:
      ${SERVICE}:
        hosts: { role: web }
        balancer: { name: front, backend: ${SERVICE}, address: "127.0.0.1:{label.port}" }
        strategy: { settle: 0s, drain: 1s, unhide: 20s, patience: 60s }
        values: { PORT: { label: port }, LOG: ${dir}/programs.log }
`;
}

function readOrEmpty(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
