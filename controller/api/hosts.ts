import { FleetError } from '@fleet/protocol/errors.ts';
import type { Handlers, Served } from './handlers.ts';

export function hosts({ store, agents }: Served): Handlers<'hosts.list' | 'hosts.forget' | 'logs.read'> {
  return {
    'hosts.list': async () => {
      const records = await store.hosts.list();
      return records.map(({ host, labels, platform, agent, freeDisk, services, lastSeen }) => ({
        host,
        connected: agents.isConnected(host),
        lastSeen,
        labels,
        platform,
        agent,
        freeDisk,
        services,
      }));
    },
    'hosts.forget': async ({ params: { host } }) => {
      if (agents.isConnected(host)) {
        throw new FleetError('name_in_use', `${host} is connected`, { next: 'stop its agent first' });
      }
      const forgotten = await store.hosts.forget(host);
      if (!forgotten)
        throw new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
      return { forgotten };
    },
    'logs.read': async ({ params: { service, host }, query }) => {
      const known = (await store.hosts.list()).some((record) => record.host === host);
      if (!known)
        throw new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
      return agents.ask(host, 'log.read', { service, ...query }, { timeoutMs: 15_000 });
    },
  };
}
