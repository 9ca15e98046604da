/** Every kind of balancer. A new one is a file beside this one, a line here, and a test that runs the contract. */
import type { Balancer } from './balancer.ts';
import { createEmbedded, type EmbeddedConfig, type EmbeddedDeps } from './embedded.ts';
import { createHaproxy, type HaproxyConfig } from './haproxy.ts';

export type BalancerConfig = HaproxyConfig | EmbeddedConfig;
export type BalancerDeps = EmbeddedDeps;

type Kinds = {
  [K in BalancerConfig['kind']]: (
    config: Extract<BalancerConfig, { kind: K }>,
    deps: BalancerDeps,
  ) => Balancer | Promise<Balancer>;
};

const KINDS: Kinds = {
  haproxy: createHaproxy,
  embedded: createEmbedded,
};

export async function createBalancer(config: BalancerConfig, deps: BalancerDeps): Promise<Balancer> {
  return create(config.kind, config, deps);
}

function create<K extends BalancerConfig['kind']>(
  kind: K,
  config: Extract<BalancerConfig, { kind: K }>,
  deps: BalancerDeps,
) {
  return KINDS[kind](config, deps);
}
