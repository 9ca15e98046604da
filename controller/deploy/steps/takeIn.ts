/** A server that the balancer does not have: taken in while it runs where it can, and else said how to write it down. */
import { serverLine } from '@fleet/balancers/haproxy.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { z } from 'zod';
import { fillTemplate, hostsOf, placementOf } from '../../config/config.ts';
import type { StepContext } from '../context.ts';
import { driverOf, hiddenByFleet, unknownServer } from './balancer.ts';

export interface TakenIn {
  /** It is there now, in maintenance. */
  added: boolean;
  message: string;
  /** For the recap: what somebody has to write into the balancer's own configuration. */
  told: string;
}

/** Kept by the step, for the recap. */
export const toldMemo = z.object({ told: z.string() });

/**
 * Throws `balancer_unknown` where the balancer cannot take it in, and either the host is no new one, so that users may reach what runs
 * there by another name, or it has no host of the environment at all, and so it is asked for the wrong ones.
 */
export async function takeIn(
  context: Pick<StepContext, 'balancer' | 'deployment' | 'deps' | 'facts' | 'signal'>,
  server: string,
): Promise<TakenIn> {
  const { driver, backend, name } = driverOf(context);
  const { deployment, deps, facts } = context;
  const { service, environment, id } = deployment;
  const wasOurs = await hiddenByFleet(context);
  const stays = (reason: string) =>
    deps.store.hidden.open({ service, environment, host: facts.host, deployment: id, reason });
  const refused = (why: string): Promise<TakenIn> => refuse(why, `${name} has no server ${server}: ${why}`);
  async function refuse(line: string, told: string): Promise<TakenIn> {
    const known = await names();
    const isNew = facts.prior === null || wasOurs;
    if (!isNew || !(await hasAnother(context, known))) throw unknownServer(context, server, known, line);
    await stays(told);
    return { added: false, message: `not in the balancer, and stays out: ${line}`, told };
  }
  const names = async () => (await driver.servers(backend)).map((each) => each.name);

  const { address, options } = facts;
  if (address === null)
    return refused(
      `add it to backend ${backend} in its configuration, or write \`address\` under \`balancer\` in controller.yaml`,
    );
  // Before the act, as for every server that fleet hides.
  await stays(`added to ${backend} by deployment ${id}`);
  try {
    await driver.add(backend, { name: server, address, options });
  } catch (thrown) {
    const error = asFleetError(thrown);
    if (error.code !== 'balancer_refused') throw error;
    if (facts.prior !== null && !wasOurs) await deps.store.hidden.close(service, environment, facts.host);
    return refused(error.next ?? error.message);
  }
  const line = serverLine({ name: server, address, options });
  return {
    added: true,
    message: `added to ${backend} while it runs, hidden`,
    told: `was added to the balancer while it runs, which a reload forgets: write \`${line}\` below \`backend ${backend}\` in its configuration`,
  };
}

/** Whether it has any other host of the environment. */
async function hasAnother(
  { deployment, deps, facts }: Pick<StepContext, 'deployment' | 'deps' | 'facts'>,
  known: readonly string[],
): Promise<boolean> {
  const placed = placementOf(deps.config, deployment.service, deployment.environment);
  const server = placed.balancer?.server;
  if (server === undefined) return false;
  return hostsOf(placed, await deps.store.hosts.list()).some((host) => {
    try {
      return host.host !== facts.host && known.includes(fillTemplate(server, host));
    } catch {
      // One without the label that its name is made of.
      return false;
    }
  });
}
