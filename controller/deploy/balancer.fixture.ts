/** A balancer in memory, in front of the fake hosts: a server is up where something runs. It can be made to lie. */
import type { AdminState, Balancer, NewServer, ServerState } from '@fleet/balancers/balancer.ts';
import { isVisible } from '@fleet/balancers/balancer.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { FakeHost } from './hosts.fixture.ts';

const VERBS = { drain: 'hide', maint: 'out', ready: 'show' } as const;

export class FakeBalancer implements Balancer {
  /** It accepts what it is told and does nothing. */
  lies = false;
  unreachable = false;
  /** Servers that its health checks do not find, whatever runs there. */
  readonly down = new Set<string>();
  readonly sessions = new Map<string, number>();
  readonly admin = new Map<string, AdminState>();
  readonly #hosts: ReadonlyMap<string, FakeHost>;
  readonly #act: (text: string) => void;

  constructor(hosts: ReadonlyMap<string, FakeHost>, act: (text: string) => void) {
    this.#hosts = hosts;
    this.#act = act;
    for (const name of hosts.keys()) this.admin.set(name, 'ready');
  }

  stateOf(name: string): ServerState {
    const up = this.#hosts.get(name)?.running !== null && !this.down.has(name);
    return { name, admin: this.admin.get(name)!, up, sessions: this.sessions.get(name) ?? 0 };
  }

  visible(): string[] {
    return [...this.admin.keys()].filter((name) => isVisible(this.stateOf(name)));
  }

  async servers(backend: string): Promise<ServerState[]> {
    this.#knows(backend);
    return [...this.admin.keys()].map((name) => this.stateOf(name));
  }

  async set(backend: string, server: string, admin: AdminState): Promise<void> {
    this.#knows(backend);
    this.#act(`${server} ${VERBS[admin]}`);
    if (!this.lies) this.admin.set(server, admin);
  }

  /** Whether it takes in servers while it runs. */
  static = false;

  async add(backend: string, { name }: NewServer): Promise<void> {
    this.#knows(backend);
    if (this.admin.has(name)) return;
    if (this.static)
      throw new FleetError('balancer_refused', `${name} is not taken in while it runs`, {
        next: `write a line for ${name}`,
      });
    this.#act(`${name} added`);
    this.admin.set(name, 'maint');
  }

  async remove(backend: string, server: string): Promise<void> {
    this.#knows(backend);
    this.#act(`${server} removed`);
    this.admin.delete(server);
  }

  async close(): Promise<void> {}

  #knows(backend: string): void {
    if (this.unreachable) throw new FleetError('balancer_unreachable', 'the balancer does not answer');
    if (backend !== 'segmenter') throw new FleetError('balancer_unknown', `there is no backend ${backend}`);
  }
}
