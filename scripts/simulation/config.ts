/** What a controller.yaml may ask for, drawn from the seed. */
import { controllerConfig } from '@fleet/config/controller.ts';
import type { FleetConfig } from '@fleet/controller/config/config.ts';
import type { Random } from '../random/random.ts';
import { SERVICES } from './shelf.ts';

export function configOf(random: Random, batch: string[], minVisible: number): FleetConfig {
  const strategy = {
    batch,
    min_visible: minVisible,
    ...random.pick([{ drain: '0ms' }, { drain: '1s' }, { drain: '3s', on_drain_timeout: 'fail' }]),
    unhide: random.pick(['2s', '20s']),
    settle: random.pick(['0ms', '600ms', '2s']),
    patience: random.pick(['1s', '10s', '30s']),
    on_failure: random.pick(['rollback_host', 'rollback_host', 'rollback_all', 'stop']),
    stage_parallel: random.pick([1, 8]),
  };
  const [web, jobs] = SERVICES;
  const hosts = { environment: 'production' };
  const source = { git: 'nowhere' };
  const config = controllerConfig.parse({
    services: { [web]: { source, keep: random.pick([2, 3, 5]) }, [jobs]: { source, keep: 2 } },
    balancers: { [web]: { kind: 'haproxy', address: '/nowhere' } },
    environments: {
      production: {
        services: {
          [web]: { hosts, strategy, balancer: { name: web, backend: web } },
          [jobs]: { hosts, strategy: { ...strategy, batch: ['2'], settle: '0ms' } },
        },
      },
    },
  });
  return { ...config, file: 'controller.yaml' };
}
