/** In which order hosts are deployed: those that users do not reach come first, since hiding them takes nobody away. */
import { isVisible } from '@fleet/balancers/balancer.ts';
import type { Placed } from '../config/config.ts';
import type { Deps } from './context.ts';
import type { HostFacts } from './facts.ts';

/**
 * What a failure has left hidden is so mended before `min_visible` asks for it. Where the balancer does not answer, or there is
 * none, the order stays; the steps will say why.
 */
export async function unseenFirst(
  deps: Pick<Deps, 'balancer'>,
  { balancer }: Placed,
  hosts: readonly HostFacts[],
): Promise<HostFacts[]> {
  if (balancer === undefined) return [...hosts];
  const servers = await deps
    .balancer(balancer.name)
    .servers(balancer.backend)
    .catch(() => []);
  const unseen = new Set(servers.filter((server) => !isVisible(server)).map(({ name }) => name));
  const isUnseen = ({ server }: HostFacts) => server !== null && unseen.has(server);
  return [...hosts.filter(isUnseen), ...hosts.filter((host) => !isUnseen(host))];
}
