/** What hide, drain, unhide and settle ask of the environment's balancer. */
import { isVisible, type ServerState } from '@fleet/balancers/balancer.ts';
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { z } from 'zod';
import { until } from '../clock.ts';
import type { StepContext } from '../context.ts';

type AtBalancer = Pick<StepContext, 'balancer' | 'deps' | 'signal'>;

/** Whether somebody else had taken the server out: kept by `hide`, and then left as it was. */
export const hideMemo = z.strictObject({ foreign: z.boolean(), told: z.string().optional() });

/** A balancer may take a moment to show what it was told; after this long it has not done it. */
const READ_BACK_MS = 5000;
const LOOK_MS = 50;

export function driverOf(context: Pick<StepContext, 'balancer'>) {
  if (context.balancer === null) throw new Error('a step for a balancer was planned where there is none');
  return context.balancer;
}

export interface Look {
  me: ServerState;
  visible: number;
  others: number;
}

export async function look(context: AtBalancer, server: string): Promise<Look> {
  const { driver, backend } = driverOf(context);
  const servers = await driver.servers(backend);
  const me = servers.find((each) => each.name === server);
  if (me === undefined)
    throw unknownServer(
      context,
      server,
      servers.map(({ name }) => name),
    );
  const visible = servers.filter(isVisible).length;
  return { me, visible, others: visible - (isVisible(me) ? 1 : 0) };
}

/** Undefined where the balancer does not have the server. */
export async function lookFor(context: AtBalancer, server: string): Promise<Look | undefined> {
  const { driver, backend } = driverOf(context);
  const isThere = (await driver.servers(backend)).some(({ name }) => name === server);
  return isThere ? look(context, server) : undefined;
}

export function unknownServer(
  context: Pick<StepContext, 'balancer'>,
  server: string,
  known: readonly string[],
  line?: string,
): FleetError {
  const { backend, name } = driverOf(context);
  return new FleetError(
    'balancer_unknown',
    `balancer ${name} has no server ${server} in ${backend}, only ${known.join(', ') || 'none'}`,
    { next: line ?? `add the server to ${backend}, or correct balancer.server in controller.yaml` },
  );
}

/** Hides a server: tells the balancer, and reads back that it did it. */
export async function setAndReadBack(
  context: AtBalancer,
  server: string,
  admin: ServerState['admin'],
): Promise<void> {
  const { driver, backend, name } = driverOf(context);
  await passing('controller.hide_asked', () => driver.set(backend, server, admin));
  const seen = await passing('controller.hide_confirmed', () =>
    until(
      context.deps.clock,
      { withinMs: READ_BACK_MS, everyMs: LOOK_MS, signal: context.signal },
      async () => ((await look(context, server)).me.admin === admin ? true : undefined),
    ),
  );
  if (!seen) {
    const { me } = await look(context, server);
    throw new FleetError(
      'balancer_refused',
      `balancer ${name} was told to set ${backend}/${server} to ${admin} and reports ${me.admin}`,
      {
        next: 'look at the balancer: something else may be setting this server',
      },
    );
  }
}

/** There is an open record exactly for the hosts that fleet itself hid. */
export async function hiddenByFleet({
  deployment,
  facts,
  deps,
}: Pick<StepContext, 'deployment' | 'facts' | 'deps'>): Promise<boolean> {
  return deps.store.hidden.has(deployment.service, deployment.environment, facts.host);
}

/**
 * A balancer that was reloaded has forgotten what it was told: a host that fleet hid is hidden again before a new version is
 * put in place on it. A way back does not wait for the balancer: what users may reach there is known to be bad.
 */
export async function keepHidden(
  context: Pick<
    StepContext<'activate' | 'restart'>,
    'args' | 'balancer' | 'deployment' | 'deps' | 'facts' | 'signal'
  >,
): Promise<void> {
  const { args, balancer, deployment, deps, facts } = context;
  if (balancer === null || facts.server === null || args.version !== deployment.version) return;
  if (!(await hiddenByFleet(context))) return;
  // What the balancer does not have is reached by nobody.
  if ((await lookFor(context, facts.server))?.me.admin !== 'ready') return;
  deps.log.warn(
    { host: facts.host, server: facts.server },
    'something else showed this server: hidden again',
  );
  await setAndReadBack(context, facts.server, 'maint');
}
