/** Everything that a run deploys to and with: hosts with an agent, a controller, a balancer, each a real process. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FLEET, waitUntil } from '../local/program.ts';
import { CONTROLLER_FOR_AGENTS, CONTROLLER_PORT, inside, Namespaces } from '../machines/namespaces.ts';
import type { Random } from '../random/random.ts';
import { makeRepository, SERVICE } from './application.ts';
import { Daemon } from './daemon.ts';
import { Disk } from './disk.ts';
import { adminSocket, BACKEND, lookAtServers, writeConfiguration } from './haproxy.ts';
import { now, type Recording } from './recording.ts';

/** Of each batch. */
const BATCH = 2;
/** Room for three releases, one that comes, and logs. */
const HOST_MEGABYTES = 24;
const STORE_MEGABYTES = 128;

export interface Host {
  name: string;
  namespace: string;
  disk: Disk;
  /** Where its agent keeps everything. */
  root: string;
  agent: Daemon;
}

export class World {
  readonly dir: string;
  readonly hosts: Host[];
  readonly minVisible: number;
  readonly network: Namespaces;
  /** The controller's disk, and on it its data. */
  readonly store: Disk;
  readonly controller: Daemon;
  readonly haproxy: Daemon;
  readonly #recording: Recording;

  /** Makes nothing yet. */
  constructor(hosts: number, recording: Recording) {
    // Short, because a socket's path is.
    this.dir = mkdtempSync(join(tmpdir(), 'fleet-chaos-'));
    this.#recording = recording;
    this.minVisible = Math.max(1, hosts - 2 * BATCH);
    const names = Array.from({ length: hosts }, (_, at) => `h${at + 1}`);
    this.network = new Namespaces(`fleet-chaos-${process.pid}`, names);
    this.store = new Disk(join(this.dir, 'store'), STORE_MEGABYTES);
    this.hosts = names.map((name) => this.#hostNamed(name));
    const controller = [process.execPath, FLEET, 'controller', '--config', 'controller.yaml'];
    this.controller = this.#daemon('controller', this.network.hub, controller);
    this.haproxy = new Daemon({
      argv: inside(this.network.hub, ['haproxy', '-db', '-f', 'haproxy.cfg']),
      cwd: this.dir,
      log: this.logOf('haproxy'),
      onLine: (text) => recording.balancer({ at: now(), source: 'log', text }),
    });
  }

  #hostNamed(name: string): Host {
    const disk = new Disk(join(this.dir, 'hosts', name), HOST_MEGABYTES);
    const namespace = this.network.of(name);
    const argv = [process.execPath, FLEET, 'agent', '--config', `agent-${name}.yaml`];
    const agent = this.#daemon(name, namespace, argv);
    return { name, namespace, disk, root: join(disk.path, 'root'), agent };
  }

  #daemon(name: string, namespace: string, argv: string[]): Daemon {
    return new Daemon({ argv: inside(namespace, argv), cwd: this.dir, log: this.logOf(name) });
  }

  logOf(name: string): string {
    return join(this.#recording.dir, 'logs', `${name}.log`);
  }
  get data(): string {
    return join(this.store.path, 'data');
  }
  get database(): string {
    return join(this.data, 'fleet.sqlite');
  }

  /** Resolves when balancer and controller answer, and the agents have been started. */
  async start(random: Random): Promise<void> {
    this.network.create();
    this.network.carryLoopback();
    for (const { disk } of this.hosts) disk.mount();
    this.store.mount();
    makeRepository(join(this.dir, 'application'), random);
    this.#configure();
    this.haproxy.start();
    await waitUntil('the balancer answers', () =>
      lookAtServers(this.dir).then(
        () => true,
        () => false,
      ),
    );
    this.controller.start();
    await waitUntil('the controller listens', () =>
      readFileSync(this.logOf('controller'), 'utf8').includes('controller listens'),
    );
    for (const { agent } of this.hosts) agent.start();
  }

  #configure(): void {
    const servers = this.hosts.map(({ name }) => ({ name, address: `${this.network.addressOf(name)}:8080` }));
    writeConfiguration(this.dir, servers);
    writeFileSync(
      join(this.dir, 'controller.yaml'),
      `listen: 127.0.0.1:${CONTROLLER_PORT}
development: true
data: ${this.data}
services:
  ${SERVICE}: { source: { git: ./application, ref: main }, keep: 3 }
balancers:
  front: { kind: haproxy, address: ${adminSocket(this.dir)}, timeout: 2000 }
environments:
  production:
    services:
      ${SERVICE}:
        hosts: { role: web }
        balancer: { name: front, backend: ${BACKEND} }
        strategy: { batch: ["${BATCH}"], min_visible: ${this.minVisible}, drain: 1s, unhide: 10s, settle: 300ms, patience: 8s }
        values: { RECORD: ${this.#recording.programs} }
`,
    );
    for (const { name, root } of this.hosts) {
      mkdirSync(root);
      writeFileSync(
        join(this.dir, `agent-${name}.yaml`),
        `host: ${name}\ncontroller: ${CONTROLLER_FOR_AGENTS}\nroot: ${root}\nlabels: { role: web }\n`,
      );
    }
  }

  /** Pid and argv of everything that runs on a host. */
  processesOn(host: Host): Array<{ pid: number; argv: string[] }> {
    return this.network.pidsIn(host.namespace).flatMap((pid) => {
      const argv = argvOf(pid);
      return argv.length === 0 ? [] : [{ pid, argv }];
    });
  }

  /** Ends and removes all of it, as far as it was made. */
  async remove(): Promise<void> {
    const daemons = [this.controller, this.haproxy, ...this.hosts.map(({ agent }) => agent)];
    await Promise.all(daemons.map((daemon) => daemon.end('SIGKILL')));
    this.network.remove();
    for (const { disk } of this.hosts) disk.unmount();
    this.store.unmount();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Empty where it is gone, or has ended. */
function argvOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  } catch {
    return [];
  }
}

/** Open descriptors, and resident KiB. */
export function sizeOf(pid: number | undefined): { descriptors: number; rss: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    rss: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0),
  };
}
