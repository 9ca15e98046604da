/** Values for tests of the pure functions: hosts, strategies and releases, with what a test does not care about filled in. */
import { createHash } from 'node:crypto';
import { type Strategy, strategy as schema } from '@fleet/config/controller.ts';
import { type Once, service } from '@fleet/protocol/service.ts';
import type { HostFacts } from './facts.ts';

/** The identity of a version, made up. */
export const identityOf = (version: string) => createHash('sha256').update(version).digest('hex');

/** A host behind a balancer that runs 1.0.0. */
export function facts(host: string, more: Partial<HostFacts> = {}): HostFacts {
  return {
    host,
    server: host,
    values: { PORT: '8000' },
    reached: true,
    prior: { version: '1.0.0', identity: identityOf('1.0.0'), values: { PORT: '8000' } },
    already: false,
    well: true,
    hiddenByFleet: false,
    absent: false,
    address: null,
    options: '',
    ...more,
  };
}

export function strategy(more: Partial<Strategy> = {}): Strategy {
  return { ...schema.parse({}), ...more };
}

/** A once step as fleet.yaml's defaults make it. */
export function once(name: string, when: Once['when']): Once {
  const run = { supervisor: 'process', command: ['node', 'server.js'] };
  return service.parse({ service: 'segmenter', run, once: [{ name, when, command: ['node', name] }] })
    .once[0]!;
}
