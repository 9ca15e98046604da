import { isVisible, type ServerState } from '@fleet/balancers/balancer.ts';
import type { Status } from '@fleet/protocol/api/fleet.ts';
import type { Level } from '@fleet/protocol/trust.ts';
import { checkNames, fillTemplate, hostsOf, type Placed } from '../config/config.ts';
import { waitingFor } from '../deploy/interrupted.ts';
import type { HiddenHost } from '../store/hidden.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { OutHost } from '../store/outHosts.ts';
import { onHost } from '../store/rollbackPoints.ts';
import type { Handlers, Served } from './handlers.ts';
import { isIn } from './reach.ts';
import { standingOf } from './standing.ts';

type Service = Status['services'][number];
type StatusHost = Service['hosts'][number];

const REPORT_MS = 3000;

export function status(served: Served): Handlers<'status.show'> {
  const { store, startedAt, version } = served;
  return {
    'status.show': async ({ query, who }) => {
      checkNames(served.config, query);
      const known = await store.hosts.list();
      const hidden = await store.hidden.list();
      const out = await store.outHosts.list();
      const placed = placements(served, query).filter((place) => isIn(who, place));
      const services = placed.map(async (place): Promise<Service> => {
        const { service, environment } = place;
        const servers = await serversOf(served, place);
        const own = hidden.filter(
          (record) => record.service === service && record.environment === environment,
        );
        const looked = await Promise.all(
          hostsOf(place, known).map((host) => statusOf(served, place, host, servers, own, out)),
        );
        // Only now: what a deployment that runs has put on a host is verified at its end.
        const lock = (await store.locks.list()).find(
          (each) => each.service === service && each.environment === environment,
        );
        const verified = lock ? null : await store.rollbackPoints.verified(service, environment);
        const hosts = looked.map(({ current, ...host }): StatusHost => {
          const known = current === null || verified === null || verified.has(onHost(current, host.host));
          return { ...host, note: host.note ?? (known ? null : unrecorded(store.restoredFrom, current)) };
        });
        const versions = new Set(hosts.map((host) => host.running));
        const deployment = lock && (await store.deployments.get(lock.deployment));
        return {
          service,
          environment,
          version: versions.size === 1 ? ([...versions][0] ?? null) : null,
          running:
            lock && deployment
              ? {
                  deployment: lock.deployment,
                  state: deployment.state,
                  version: deployment.version,
                  by: lock.owner,
                  since: lock.since,
                  waitsFor: deployment.state === 'waiting' ? await waitingFor(lock.deployment, store) : [],
                }
              : null,
          hosts,
        };
      });
      return {
        controller: {
          version,
          startedAt: startedAt.toISOString(),
          signing: signingOf(served),
          builds: served.builds,
        },
        services: await Promise.all(services),
      };
    },
  };

  function placements(
    of: Served,
    query: { service?: string | undefined; environment?: string | undefined },
  ): Placed[] {
    return Object.entries(of.config.environments).flatMap(([environment, { services }]) =>
      Object.entries(services)
        .filter(
          ([service]) =>
            (query.service ?? service) === service && (query.environment ?? environment) === environment,
        )
        .map(([service, placement]) => ({ ...placement, service, environment })),
    );
  }
}

/** In plain words: the level, and what follows from it. */
function signingOf({ trust }: Served): string {
  if (trust === null) return 'none, in development: hosts run whatever the controller gives them';
  return LEVELS[trust.signing.trust().statement.level];
}

const LEVELS: Record<Level, string> = {
  L0: 'L0: the controller signs, so whoever owns it can run code on every host; fleet keys add moves the key to another machine',
  L1b: 'L1b: another machine signs, so whoever owns the controller can run nothing on a host that was not signed there',
};

export async function statusOf(
  served: Served,
  place: Placed,
  host: HostRecord,
  servers: ServerState[] | null,
  hidden: readonly HiddenHost[],
  out: readonly OutHost[],
): Promise<StatusHost & { current: string | null }> {
  const { agents } = served;
  const { service } = place;
  const connected = agents.isConnected(host.host);
  const report = connected
    ? await agents.ask(host.host, 'step.report', { service }, { timeoutMs: REPORT_MS }).catch(() => null)
    : null;
  const name = place.balancer && fillTemplate(place.balancer.server, host);
  const record = hidden.find((each) => each.host === host.host);
  const last = host.services.find((each) => each.service === service)?.current ?? null;
  return {
    host: host.host,
    connected,
    running: report?.running ?? (connected ? null : last),
    state: report?.state ?? 'unknown',
    balancer: name === undefined ? null : shown(servers?.find((server) => server.name === name)),
    note: record === undefined ? null : `${record.reason}, since ${record.since}`,
    standing: standingOf(
      served,
      place,
      host.host,
      out.find((each) => each.host === host.host),
    ),
    current: report === null ? last : report.current,
  };
}

/** For a host that has what no deployment of this database verified there. */
function unrecorded(restoredFrom: string | null, current: string): string {
  const unknown = `the controller's database does not know that ${current} was verified here`;
  return restoredFrom === null ? unknown : `${unknown}: the host is later than the backup of ${restoredFrom}`;
}

function shown(server: ServerState | undefined): StatusHost['balancer'] {
  if (server === undefined) return 'unknown';
  if (server.admin !== 'ready') return 'hidden';
  return isVisible(server) ? 'visible' : 'down';
}

export async function serversOf({ balancer }: Served, place: Placed): Promise<ServerState[] | null> {
  if (place.balancer === undefined) return null;
  return balancer(place.balancer.name)
    .servers(place.balancer.backend)
    .catch(() => null);
}
