import { readFile } from 'node:fs/promises';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import { servicesOf } from '@fleet/config/profiles.ts';
import { service as sealedService } from '@fleet/protocol/service.ts';
import { type Newest, resolveProfile } from '../config/profiles.ts';
import { listenAddress, nextPort } from '../listenAddress.ts';
import type { Handlers, Served } from './handlers.ts';

export function profiles({ store, config, now }: Served): Handlers<'profiles.list' | 'profiles.show'> {
  const newest: Newest = async (service) => {
    const [artifact] = await store.artifacts.list(service);
    if (artifact === undefined) return undefined;
    const { sealed } = decodeManifest(await readFile(artifact.manifestPath));
    const { run } = sealedService.parse(sealed);
    return { version: artifact.version, run };
  };
  return {
    'profiles.list': async () =>
      Object.entries(config.profiles).map(([profile, { labels }]) => ({
        profile,
        labels,
        services: servicesOf(config, labels),
      })),
    'profiles.show': async ({ params }) => ({
      ...(await resolveProfile(config, params.profile, newest)),
      agentsPort: agentsPort(config),
      now: new Date(now()).toISOString(),
    }),
  };
}

function agentsPort({ listen, listen_agents }: Served['config']): number {
  return (listen_agents === undefined ? nextPort(listenAddress(listen)) : listenAddress(listen_agents)).port;
}
