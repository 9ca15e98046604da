/** The balancers of controller.yaml, and the servers that the embedded ones learn from the hosts that are known. */
import type { Balancer } from '@fleet/balancers/balancer.ts';
import { createBalancer } from '@fleet/balancers/kinds.ts';
import { type FleetConfig, fillTemplate, hostsOf } from './config/config.ts';
import type { Hosts } from './store/hosts.ts';

export interface Balancers {
  of(name: string): Balancer;
  /** A host is new or has other labels. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

interface ServerRoute {
  backend: string;
  server: string;
  address: string;
}

export async function openBalancers(config: FleetConfig, hosts: Hosts, stateDir: string): Promise<Balancers> {
  const routes = new Map<string, ServerRoute[]>();
  const opened = new Map<string, Balancer>();
  const refresh = async () => {
    const known = await hosts.list();
    for (const name of Object.keys(config.balancers)) routes.set(name, routesOf(config, name, known));
  };
  await refresh();
  for (const [name, balancer] of Object.entries(config.balancers)) {
    opened.set(
      name,
      await createBalancer(balancer, { stateDir, name, routes: () => routes.get(name) ?? [] }),
    );
  }
  return {
    of: (name) => {
      const balancer = opened.get(name);
      if (balancer === undefined)
        throw new Error(`no balancer ${name}: the configuration was checked for that`);
      return balancer;
    },
    refresh,
    close: async () => {
      await Promise.all([...opened.values()].map((balancer) => balancer.close()));
    },
  };
}

function routesOf(
  config: FleetConfig,
  name: string,
  known: Awaited<ReturnType<Hosts['list']>>,
): ServerRoute[] {
  return Object.values(config.environments).flatMap(({ services }) =>
    Object.values(services).flatMap((placement) => {
      const { balancer } = placement;
      if (balancer === undefined || balancer.name !== name || balancer.address === undefined) return [];
      const { backend, server, address } = balancer;
      return hostsOf(placement, known).map((host) => ({
        backend,
        server: fillTemplate(server, host),
        address: fillTemplate(address, host),
      }));
    }),
  );
}
