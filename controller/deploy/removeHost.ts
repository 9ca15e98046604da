/** Taking a host off the fleet for good: no users, nothing of the fleet's running on it, nothing in the balancers, no certificate. */
import { randomUUID } from 'node:crypto';
import type { Turn } from '@fleet/protocol/api/standing.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { fillTemplate, type Placed, placesOn } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import { until } from './clock.ts';
import type { Deps } from './context.ts';
import { hostNamed, type Parts, takeOut } from './takeOut.ts';

/** The answer has to be there before whoever asks gives up; whoever takes a host out first lets it drain for as long as it likes. */
const DRAIN_MS = 30_000;
const STOP_MS = 120_000;

export interface Removed {
  turns: Turn[];
  /** What is still to be done, where, and by which command. */
  left: string[];
}

/**
 * Each part may be done already: it can be asked for again. `forget` ends its identity and whatever is known of it. Throws what
 * `takeOut` throws; nothing is stopped then.
 */
export async function removeHost(
  parts: Parts & Pick<Deps, 'agents'>,
  { host, by, why }: { host: string; by: string; why: string },
  forget: () => Promise<void>,
): Promise<Removed> {
  const record = await hostNamed(parts, host);
  const places = placesOn(parts.config, record);
  const turns: Turn[] = [...(await takeOut(parts, host, by, `removed: ${why}`))];
  turns.push(...(await Promise.all(places.map((placed) => drain(parts, placed, record)))).flat());
  const stopped = await Promise.all(
    servicesOf(record, places).map((service) => stop(parts, record, service)),
  );
  turns.push(...stopped);
  const left: string[] = [];
  for (const { service, environment } of places) await parts.store.hidden.close(service, environment, host);
  await forget();
  for (const placed of places) turns.push(...(await removeServer(parts, placed, record, left)));
  const running = stopped.filter(({ outcome }) => outcome === 'failed').map(({ service }) => service);
  if (running.length > 0) left.push(`${running.join(', ')} may still run on ${host}`);
  return { turns, left };
}

function servicesOf({ services }: HostRecord, places: readonly Placed[]): string[] {
  const names = [...places.map(({ service }) => service), ...services.map(({ service }) => service)];
  return [...new Set(names)].filter((service) => !isOwn(service));
}

/** In maintenance from here on, whatever sessions are left. */
async function drain(parts: Parts, placed: Placed, record: HostRecord): Promise<Turn[]> {
  const { balancer, service, environment, strategy } = placed;
  if (balancer === undefined) return [];
  const name = fillTemplate(balancer.server, record);
  const driver = parts.balancer(balancer.name);
  const sessions = async () =>
    (await driver.servers(balancer.backend)).find((each) => each.name === name)?.sessions;
  if ((await sessions()) === undefined) return [];
  const ended = await until(
    parts.clock,
    { withinMs: Math.min(DRAIN_MS, strategy.drain), everyMs: 50, signal: parts.parking },
    async () => ((await sessions()) === 0 ? true : undefined),
  );
  const cut = ended ? 0 : ((await sessions()) ?? 0);
  await driver.set(balancer.backend, name, 'maint');
  const message = cut === 0 ? 'no session open' : `${cut} sessions were still open, cut`;
  return [{ service, environment, outcome: 'ok', message }];
}

async function stop(
  { agents, store }: Pick<Deps, 'agents' | 'store'>,
  { host }: HostRecord,
  service: string,
): Promise<Turn> {
  const about = { service, environment: null };
  const { fleet, epoch } = store;
  const command = { id: `${fleet}:remove:${randomUUID()}`, fleet, epoch, why: `${host} is removed` };
  try {
    const { changed } = await agents.ask(host, 'step.stop', { command, service }, { timeoutMs: STOP_MS });
    return { ...about, outcome: changed ? 'changed' : 'ok', message: changed ? 'stopped' : 'did not run' };
  } catch (error) {
    return { ...about, outcome: 'failed', message: `not stopped: ${asFleetError(error).message}` };
  }
}

async function removeServer(
  parts: Parts,
  placed: Placed,
  record: HostRecord,
  left: string[],
): Promise<Turn[]> {
  const { balancer, service, environment } = placed;
  if (balancer === undefined) return [];
  const name = fillTemplate(balancer.server, record);
  const about = { service, environment };
  try {
    await parts.balancer(balancer.name).remove(balancer.backend, name);
    left.push(
      `${balancer.name}: take the server ${name} out of backend ${balancer.backend} in its configuration too, where it stands there`,
    );
    return [{ ...about, outcome: 'changed', message: `${name} is out of backend ${balancer.backend}` }];
  } catch (error) {
    const { message, next } = asFleetError(error);
    left.push(next ?? message);
    return [{ ...about, outcome: 'failed', message }];
  }
}
