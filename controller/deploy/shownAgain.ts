/**
 * The record that fleet hides a host is written before the balancer is told. Where the balancer then did not do it, and did not
 * answer for as long as somebody asked, or has forgotten it since, the record is of a host that users reach.
 */
import { asFleetError } from '@fleet/protocol/errors.ts';
import { fillTemplate } from '../config/config.ts';
import type { HiddenHost } from '../store/hidden.ts';
import { keepOut, type Parts } from './takeOut.ts';

/** Longer than a balancer takes to do what it was told before: what is seen at two looks is not about to change. */
const EVERY_MS = 15_000;

/** Goes on until the controller parks. Closes records of hosts that the balancer shows at two looks, while nobody deploys. */
export async function closeRecordsOfShown(parts: Parts): Promise<void> {
  const { clock, log, parking } = parts;
  let shown = new Set<string>();
  while (!parking.aborted) {
    try {
      await keepOut(parts);
      shown = await lookAgain(parts, shown);
    } catch (error) {
      shown = new Set();
      log.warn({ code: asFleetError(error).code }, 'not known whether hosts that were hidden are shown');
    }
    await clock.sleep(EVERY_MS, parking).catch(() => {});
  }
}

/** What was shown `before` and still is has its record closed. Gives what is shown now. */
async function lookAgain(parts: Parts, before: ReadonlySet<string>): Promise<Set<string>> {
  const { log, store } = parts;
  const shown = new Set<string>();
  for (const record of await store.hidden.list()) {
    if (!(await isShown(parts, record))) continue;
    const { service, environment, host, deployment } = record;
    const key = `${service} ${environment} ${host} ${deployment}`;
    if (before.has(key)) {
      await store.hidden.close(service, environment, host, deployment);
      log.info({ service, environment, host, deployment }, 'was noted as hidden, and the balancer shows it');
    } else shown.add(key);
  }
  return shown;
}

async function isShown(
  { balancer, config, store }: Pick<Parts, 'balancer' | 'config' | 'store'>,
  record: HiddenHost,
): Promise<boolean> {
  const { service, environment } = record;
  // Whoever deploys it knows best.
  const locks = await store.locks.list();
  if (locks.some((lock) => lock.service === service && lock.environment === environment)) return false;
  const placement = config.environments[environment]?.services[service];
  const host = (await store.hosts.list()).find((each) => each.host === record.host);
  if (placement?.balancer === undefined || host === undefined) return false;
  const name = fillTemplate(placement.balancer.server, host);
  const servers = await balancer(placement.balancer.name).servers(placement.balancer.backend);
  return servers.find((server) => server.name === name)?.admin === 'ready';
}
