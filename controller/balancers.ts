/** The balancers of controller.yaml, and the servers that the embedded ones learn from the hosts that are known. */
import type { Balancer } from '@fleet/balancers/balancer.ts';
import { createBalancer } from '@fleet/balancers/kinds.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { type FleetConfig, fillTemplate, hostsOf } from './config/config.ts';
import type { HostRecord, Hosts } from './store/hosts.ts';

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

type Warn = (about: { host: string; balancer: string }, message: string) => void;

export async function openBalancers(
  config: FleetConfig,
  hosts: Hosts,
  stateDir: string,
  warn: Warn,
): Promise<Balancers> {
  const routes = new Map<string, ServerRoute[]>();
  const opened = new Map<string, Balancer>();
  const refresh = async () => {
    const known = await hosts.list();
    // Any other kind has addresses in a configuration of its own.
    for (const [name, { kind }] of Object.entries(config.balancers))
      if (kind === 'embedded') routes.set(name, routesOf(config, name, known, warn));
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
  known: readonly HostRecord[],
  warn: Warn,
): ServerRoute[] {
  return Object.values(config.environments).flatMap(({ services }) =>
    Object.values(services).flatMap((placement) => {
      const { balancer } = placement;
      if (balancer === undefined || balancer.name !== name || balancer.address === undefined) return [];
      const { backend, server, address } = balancer;
      return hostsOf(placement, known).flatMap((host) => {
        try {
          return [{ backend, server: fillTemplate(server, host), address: fillTemplate(address, host) }];
        } catch (error) {
          // One host without a label keeps none of the others from its place.
          warn({ host: host.host, balancer: name }, asFleetError(error).message);
          return [];
        }
      });
    }),
  );
}
