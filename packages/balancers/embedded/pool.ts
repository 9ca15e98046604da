import type { AdminStates } from './adminStates.ts';
import { Upstream } from './upstream.ts';

/** Where a server of a backend is, as the controller's configuration and the agents' labels say now. */
export interface Route {
  backend: string;
  server: string;
  /** HOST:PORT */
  address: string;
}

/** The servers of all backends. Routes come and go with hosts, so they are asked for again and again. */
export class Pool {
  readonly #routes: () => Route[];
  readonly #adminStates: AdminStates;
  readonly #backends = new Map<string, Map<string, { upstream: Upstream; address: string }>>();
  #turn = 0;

  constructor(routes: () => Route[], adminStates: AdminStates) {
    this.#routes = routes;
    this.#adminStates = adminStates;
  }

  /** Take in what the routes are now. A new server is looked at once before this resolves. */
  async refresh(): Promise<void> {
    const routes = this.#routes();
    const keep = new Set(routes.map(({ backend, server, address }) => `${backend}/${server}=${address}`));
    for (const [backend, members] of this.#backends) {
      for (const [server, { upstream, address }] of members) {
        if (keep.has(`${backend}/${server}=${address}`)) continue;
        upstream.close();
        members.delete(server);
      }
      if (members.size === 0) this.#backends.delete(backend);
    }
    await Promise.all(routes.map((route) => this.#add(route)));
  }

  async #add({ backend, server, address }: Route): Promise<void> {
    const members = this.#backends.get(backend) ?? new Map();
    this.#backends.set(backend, members);
    if (members.has(server)) return;
    const upstream = new Upstream(server, address, this.#adminStates.of(backend, server));
    members.set(server, { upstream, address });
    await upstream.look();
    void upstream.watch();
  }

  get backends(): string[] {
    return [...this.#backends.keys()];
  }

  /** The servers of a backend, undefined where there is no such backend. */
  members(backend: string): Upstream[] | undefined {
    const members = this.#backends.get(backend);
    return members && [...members.values()].map(({ upstream }) => upstream);
  }

  /** The next visible server in turn, none of `tried`. */
  choose(backend: string, tried: ReadonlySet<Upstream>): Upstream | undefined {
    const visible =
      this.members(backend)?.filter((upstream) => upstream.visible && !tried.has(upstream)) ?? [];
    return visible[this.#turn++ % visible.length];
  }

  close(): void {
    for (const members of this.#backends.values())
      for (const { upstream } of members.values()) upstream.close();
    this.#backends.clear();
  }
}
