import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { Handlers, Served } from './handlers.ts';

export function hosts({
  store,
  agents,
}: Served): Handlers<'hosts.list' | 'hosts.show' | 'hosts.forget' | 'logs.read'> {
  const rowOf = ({ host, labels, platform, agent, freeDisk, services, lastSeen }: HostRecord): HostRow => ({
    host,
    connected: agents.isConnected(host),
    lastSeen,
    labels,
    platform,
    agent,
    freeDisk,
    services,
  });
  return {
    'hosts.list': async () => {
      const records = await store.hosts.list();
      return records.map(rowOf);
    },
    'hosts.show': async ({ params: { host } }) => {
      const record = (await store.hosts.list()).find((each) => each.host === host);
      if (record === undefined) throw unknownHost(host);
      return { ...rowOf(record), policy: agents.policyOf(host) ?? null };
    },
    'hosts.forget': async ({ params: { host } }) => {
      if (agents.isConnected(host)) {
        throw new FleetError('name_in_use', `${host} is connected`, { next: 'stop its agent first' });
      }
      const forgotten = await store.hosts.forget(host);
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

function unknownHost(host: string): FleetError {
  return new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
}
