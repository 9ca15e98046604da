import type { Scope } from '@fleet/protocol/access.ts';
import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import type { Place } from '@fleet/protocol/api/standing.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { fillTemplate, type Placed, placesOn } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { OutHost } from '../store/outHosts.ts';
import type { Handlers, Served } from './handlers.ts';
import { isHostIn, isIn } from './reach.ts';
import { standingOf } from './standing.ts';
import { serversOf, statusOf } from './status.ts';

export function hosts(served: Served): Handlers<'hosts.list' | 'hosts.show' | 'hosts.forget' | 'logs.read'> {
  const { store, agents, config, enrolment } = served;
  /** As far as somebody may see it. */
  const rowOf = (record: HostRecord, who: Scope, allOut: readonly OutHost[]): HostRow => {
    const { host, labels, platform, agent, freeDisk, services, lastSeen } = record;
    const out = allOut.find((each) => each.host === host);
    return {
      host,
      connected: agents.isConnected(host),
      lastSeen,
      labels,
      platform,
      agent,
      upgrades: agents.policyOf(host)?.upgrades ?? true,
      freeDisk,
      services: services.filter(({ service }) => isIn(who, { service, environment: null })),
      out: out === undefined ? null : { by: out.by, why: out.why, since: out.since },
      standings: placesOn(config, record)
        .filter((place) => isIn(who, place))
        .flatMap(({ service, environment }) => {
          const standing = standingOf(served, { service, environment }, host, out);
          return standing === null ? [] : [{ ...standing, service, environment }];
        }),
    };
  };
  return {
    'hosts.list': async ({ who }) => {
      const out = await store.outHosts.list();
      return (await store.hosts.list())
        .filter((host) => isHostIn(who, host, config))
        .map((host) => rowOf(host, who, out));
    },
    'hosts.show': async ({ params: { host }, who }) => {
      const record = (await store.hosts.list()).find((each) => each.host === host);
      if (record === undefined) throw unknownHost(host);
      const out = await store.outHosts.list();
      const identity = (await store.identities.list()).find(
        (each) => each.host === host && each.state === 'active',
      );
      const places = placesOn(config, record).filter((place) => isIn(who, place));
      return {
        ...rowOf(record, who, out),
        policy: agents.policyOf(host) ?? null,
        places: await Promise.all(places.map((place) => placeOf(served, place, record, out))),
        certificateUntil: identity?.expiresAt ?? null,
      };
    },
    'hosts.forget': async ({ params: { host }, by }) => {
      if (agents.isConnected(host)) {
        throw new FleetError('name_in_use', `${host} is connected`, { next: 'stop its agent first' });
      }
      const ended = (await enrolment?.end(host, 'forgotten', by)) ?? false;
      const forgotten = (await store.hosts.forget(host)) || ended;
      if (!forgotten) throw unknownHost(host);
      return { forgotten };
    },
    'logs.read': async ({ params: { service, host }, query }) => {
      const known = (await store.hosts.list()).some((record) => record.host === host);
      if (!known) throw unknownHost(host);
      return agents.ask(host, 'log.read', { service, ...query }, { timeoutMs: 15_000 });
    },
  };
}

async function placeOf(
  served: Served,
  place: Placed,
  record: HostRecord,
  allOut: readonly OutHost[],
): Promise<Place> {
  const { host } = record;
  const { service, environment } = place;
  const out = allOut.find((each) => each.host === host);
  const servers = await serversOf(served, place);
  const name = place.balancer && fillTemplate(place.balancer.server, record);
  const server = servers?.find((each) => each.name === name);
  const { running, balancer } = await statusOf(served, place, record, servers, [], allOut);
  return {
    service,
    environment,
    running,
    wanted: served.catchUp.standingOf(place, host)?.wanted ?? null,
    balancer,
    sessions: server?.sessions ?? null,
    standing: standingOf(served, place, host, out),
  };
}

export function unknownHost(host: string): FleetError {
  return new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
}
