/**
 * A reverse proxy inside the controller, for trying fleet out and for tests: loopback only, HTTP/1.1 and WebSocket. Which
 * backend a request goes to: the one that its Host header names, or the only one that there is.
 */
import { once } from 'node:events';
import type http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AdminState, Balancer, ServerState } from './balancer.ts';
import { openAdminStates } from './embedded/adminStates.ts';
import { createFront } from './embedded/front.ts';
import type { Route } from './embedded/pool.ts';
import { Pool } from './embedded/pool.ts';
import type { Upstream } from './embedded/upstream.ts';

export interface EmbeddedConfig {
  kind: 'embedded';
  /** HOST:PORT; port 0 takes a free one. */
  listen: string;
}
export interface EmbeddedDeps {
  /** Where the file lies that remembers which servers are hidden. */
  stateDir: string;
  /** The balancer's name in controller.yaml. */
  name: string;
  routes: () => Route[];
}
export interface EmbeddedBalancer extends Balancer {
  /** Where it listens, as HOST:PORT. */
  readonly address: string;
}

/** Milliseconds between two looks at the routes: hosts come, and their ports change. */
const REFRESH = 1000;

/** Throws `port_in_use`, `bad_config`. Listens, and has looked at every server once, when it resolves. */
export async function createEmbedded(config: EmbeddedConfig, deps: EmbeddedDeps): Promise<EmbeddedBalancer> {
  const adminStates = await openAdminStates(path.join(deps.stateDir, `balancer-${deps.name}.json`));
  const pool = new Pool(deps.routes, adminStates);
  const front = createFront(pool);
  await pool.refresh();
  await listen(front.server, config.listen, deps.name).catch((error) => {
    pool.close();
    throw error;
  });
  // Whoever asks for the servers refreshes too, and is told what is wrong.
  const refreshing = setInterval(() => pool.refresh().catch(() => {}), REFRESH);

  async function members(backend: string): Promise<Upstream[]> {
    await pool.refresh();
    const found = pool.members(backend);
    if (found === undefined) throw unknown(`has no backend ${backend}`, pool.backends);
    return found;
  }
  function unknown(what: string, known: string[]): FleetError {
    const message = `The embedded balancer ${deps.name} ${what}; it knows ${known.join(', ') || 'none'}`;
    return new FleetError('balancer_unknown', message, {
      next: 'Correct `backend`, `server` or `address` under `balancer` in controller.yaml, or connect the host’s agent.',
      data: { known },
    });
  }

  return {
    get address() {
      const { address, port } = front.server.address() as AddressInfo;
      return `${address}:${port}`;
    },
    async servers(backend: string): Promise<ServerState[]> {
      return (await members(backend)).map((upstream) => upstream.state);
    },
    async set(backend: string, server: string, admin: AdminState): Promise<void> {
      const all = await members(backend);
      const upstream = all.find(({ name }) => name === server);
      if (upstream === undefined) {
        const known = all.map(({ name }) => name);
        throw unknown(`has no server ${server} in backend ${backend}`, known);
      }
      await adminStates.set(backend, server, admin);
      upstream.tell(admin);
    },
    async add(backend, server) {
      await pool.refresh();
      if (pool.members(backend)?.some(({ name }) => name === server.name)) return;
      throw new FleetError(
        'balancer_refused',
        `The embedded balancer ${deps.name} learns its servers from controller.yaml and the hosts’ labels, and does not find ${server.name}`,
        {
          next: `Write \`address\` under \`balancer\` in controller.yaml, and connect the agent of ${server.name}.`,
        },
      );
    },
    async remove(backend, server) {
      await pool.refresh();
      if (pool.members(backend)?.some(({ name }) => name === server)) return;
      // Whatever comes under this name later is another server.
      await adminStates.set(backend, server, 'ready');
    },
    async close() {
      clearInterval(refreshing);
      pool.close();
      await front.close();
    },
  };
}

async function listen(server: http.Server, address: string, name: string): Promise<void> {
  const at = address.lastIndexOf(':');
  server.listen(Number(address.slice(at + 1)), address.slice(0, at));
  try {
    await once(server, 'listening');
    server.on('error', () => {});
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new FleetError(
        'port_in_use',
        `The balancer ${name} cannot listen on ${address}: another program does`,
        {
          next: `Stop that program (ss -ltnp shows it), or change \`listen\` of the balancer ${name} in controller.yaml.`,
          cause: error,
        },
      );
    throw new FleetError('bad_config', `The balancer ${name} cannot listen on ${address}: ${message}`, {
      next: `Change \`listen\` of the balancer ${name} in controller.yaml.`,
      cause: error,
    });
  }
}
