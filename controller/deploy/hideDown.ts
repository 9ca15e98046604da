/** A host that is away, and behind, may come back with what it had: it is hidden before, so that users find it only once it is well. */
import { fillTemplate, type Placed } from '../config/config.ts';
import type { Last } from './behind.ts';
import type { Parts } from './takeOut.ts';

/** Nobody is taken away by it: only a server that the balancer itself finds down is hidden. */
export async function hideDown(parts: Parts, placed: Placed, host: string, last: Last): Promise<void> {
  const { balancer, service, environment } = placed;
  if (balancer === undefined) return;
  const { store, log } = parts;
  const record = (await store.hosts.list()).find((each) => each.host === host);
  if (record === undefined) return;
  const name = fillTemplate(balancer.server, record);
  const driver = parts.balancer(balancer.name);
  await parts.turns.take(`${balancer.name}/${balancer.backend}`, async () => {
    const server = (await driver.servers(balancer.backend)).find((each) => each.name === name);
    if (server === undefined || server.admin !== 'ready' || server.up) return;
    const reason = `was away in deployment ${last.id}`;
    await store.hidden.open({ service, environment, host, deployment: last.id, reason });
    await driver.set(balancer.backend, name, 'maint');
    log.info({ host, service, environment }, 'is away and behind: hidden until it has caught up');
  });
}
