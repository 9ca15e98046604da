import type { Scope } from '@fleet/protocol/access.ts';
import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { Handlers, Served } from './handlers.ts';
import { isHostIn, isIn } from './reach.ts';

export function hosts({
  store,
  agents,
  config,
  enrolment,
}: Served): Handlers<'hosts.list' | 'hosts.show' | 'hosts.forget' | 'logs.read'> {
  /** As far as somebody may see it. */
  const rowOf = (
    { host, labels, platform, agent, freeDisk, services, lastSeen }: HostRecord,
    who: Scope,
  ): HostRow => ({
    host,
    connected: agents.isConnected(host),
    lastSeen,
    labels,
    platform,
    agent,
    freeDisk,
    services: services.filter(({ service }) => isIn(who, { service, environment: null })),
  });
  return {
    'hosts.list': async ({ who }) =>
      (await store.hosts.list())
        .filter((host) => isHostIn(who, host, config))
        .map((host) => rowOf(host, who)),
    'hosts.show': async ({ params: { host }, who }) => {
      const record = (await store.hosts.list()).find((each) => each.host === host);
      if (record === undefined) throw unknownHost(host);
      return { ...rowOf(record, who), policy: agents.policyOf(host) ?? null };
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

export function unknownHost(host: string): FleetError {
  return new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
}
