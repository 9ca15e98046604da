/** Taking a host out: no balancer shows it any more, and deployments pass it by, until somebody lets it in again. */
import { isVisible, type ServerState } from '@fleet/balancers/balancer.ts';
import type { Turn } from '@fleet/protocol/api/standing.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { fillTemplate, type Placed, placesOn } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import { until } from './clock.ts';
import type { Deps } from './context.ts';

export type Parts = Pick<Deps, 'balancer' | 'clock' | 'config' | 'log' | 'parking' | 'store' | 'turns'>;

/** A balancer may take a moment to show what it was told. */
const READ_BACK_MS = 5000;

/**
 * Hides a host in the balancers of all its services, or in none: throws `min_visible` where too few would be left, `locked` while a
 * deployment has it, `unknown_host`, and what a balancer throws. Sessions that are open end by themselves.
 */
export async function takeOut(parts: Parts, host: string, by: string, why: string): Promise<Turn[]> {
  const { config, store } = parts;
  const record = await hostNamed(parts, host);
  const before = await store.outHosts.get(host);
  // Whatever is planned from here on passes it by.
  await store.outHosts.add({ host, by, why });
  const places = placesOn(config, record);
  try {
    for (const placed of places) await refuseLocked(parts, placed, record);
    for (const placed of places) await hiding(parts, placed, record);
  } catch (error) {
    if (before === undefined) await store.outHosts.remove(host);
    else await store.outHosts.add(before);
    throw error;
  }
  const turns: Turn[] = [];
  for (const placed of places) turns.push(await hideIn(parts, placed, record, `out, by ${by}: ${why}`));
  return turns;
}

export async function hostNamed({ store }: Pick<Deps, 'store'>, host: string): Promise<HostRecord> {
  const record = (await store.hosts.list()).find((each) => each.host === host);
  if (record !== undefined) return record;
  throw new FleetError('unknown_host', `there is no host ${host}`, { next: 'fleet hosts lists them' });
}

/** The one that has the host now, or is about to. */
async function refuseLocked({ store }: Parts, placed: Placed, { host }: HostRecord): Promise<void> {
  const lock = (await store.locks.list()).find(
    ({ service, environment }) => service === placed.service && environment === placed.environment,
  );
  if (lock === undefined) return;
  const { settings } = await store.deployments.get(lock.deployment);
  const targets = await store.deployments.hosts(lock.deployment);
  if (settings !== null && !targets.some((each) => each.host === host)) return;
  throw new FleetError(
    'locked',
    `${placed.service} in ${placed.environment} is being deployed to ${host} by ${lock.owner} (deployment ${lock.deployment})`,
    {
      next: `fleet attach ${lock.deployment} to watch it, fleet abort ${lock.deployment} to stop it`,
      data: { deployment: lock.deployment },
    },
  );
}

interface Found {
  server: ServerState;
  others: number;
}

/** The host in a balancer, as it is now; a string says why there is nothing to hide. Throws `min_visible`. */
async function hiding(parts: Parts, placed: Placed, record: HostRecord): Promise<Found | string> {
  const { balancer, service, environment, strategy } = placed;
  if (balancer === undefined) return 'has no balancer';
  const name = fillTemplate(balancer.server, record);
  const servers = await parts.balancer(balancer.name).servers(balancer.backend);
  const server = servers.find((each) => each.name === name);
  if (server === undefined) return `balancer ${balancer.name} has no server ${name}`;
  const others = servers.filter(isVisible).length - (isVisible(server) ? 1 : 0);
  if (isVisible(server) && others < strategy.min_visible)
    throw new FleetError(
      'min_visible',
      `hiding ${name} would leave ${others} of ${service} in ${environment} visible, and min_visible is ${strategy.min_visible}`,
      { next: `bring other hosts back first: fleet status ${service} -e ${environment}` },
    );
  return { server, others };
}

/** The record is there before the balancer is told, so that letting it in again shows it. */
async function hideIn(parts: Parts, placed: Placed, record: HostRecord, reason: string): Promise<Turn> {
  const { balancer, service, environment } = placed;
  const about = { service, environment };
  if (balancer === undefined) return { ...about, outcome: 'ok', message: 'has no balancer' };
  const driver = parts.balancer(balancer.name);
  return parts.turns.take(`${balancer.name}/${balancer.backend}`, async (): Promise<Turn> => {
    const found = await hiding(parts, placed, record);
    if (typeof found === 'string') return { ...about, outcome: 'ok', message: found };
    const { server, others } = found;
    const { store } = parts;
    const newest = (await store.deployments.list({ service, environment, limit: 1 }))[0];
    const isOurs = await store.hidden.has(service, environment, record.host);
    if (server.admin !== 'ready')
      return { ...about, outcome: 'ok', message: isOurs ? 'was hidden already' : 'somebody else hides it' };
    if (newest !== undefined)
      await store.hidden.open({ ...about, host: record.host, deployment: newest.id, reason });
    await driver.set(balancer.backend, server.name, 'drain');
    const seen = await until(
      parts.clock,
      { withinMs: READ_BACK_MS, everyMs: 50, signal: parts.parking },
      async () =>
        (await driver.servers(balancer.backend)).find(
          ({ name, admin }) => name === server.name && admin !== 'ready',
        ),
    );
    if (seen === undefined)
      throw new FleetError(
        'balancer_refused',
        `balancer ${balancer.name} was told to hide ${server.name} and shows it`,
        { next: 'look at the balancer: something else may be setting this server' },
      );
    const open = seen.sessions === 0 ? '' : `, ${seen.sessions} open sessions end by themselves`;
    return { ...about, outcome: 'changed', message: `hidden, ${others} visible${open}` };
  });
}

/** What is out stays hidden: whatever reloads a balancer shows it, and one that is drained is taken out altogether. */
export async function keepOut(parts: Parts): Promise<void> {
  const hosts = await parts.store.hosts.list();
  for (const { host } of await parts.store.outHosts.list()) {
    const record = hosts.find((each) => each.host === host);
    if (record === undefined) continue;
    for (const placed of placesOn(parts.config, record)) await keepOutOf(parts, placed, record);
  }
}

async function keepOutOf(parts: Parts, placed: Placed, record: HostRecord): Promise<void> {
  const { balancer, service, environment } = placed;
  if (balancer === undefined || !(await parts.store.hidden.has(service, environment, record.host))) return;
  const driver = parts.balancer(balancer.name);
  const name = fillTemplate(balancer.server, record);
  const server = (await driver.servers(balancer.backend)).find((each) => each.name === name);
  if (server === undefined || server.admin === 'maint' || (server.admin === 'drain' && server.sessions > 0))
    return;
  await driver.set(balancer.backend, name, 'maint');
  parts.log.info({ host: record.host, service, environment }, 'is out, and is taken out of the balancer');
}
