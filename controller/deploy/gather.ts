/** What holds on the hosts before a deployment: asked of the agents, and completed from the rollback points. */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Service } from '@fleet/protocol/service.ts';
import { isOwn, type KeptValues } from '@fleet/protocol/words.ts';
import { type ConfiguredValues, fillTemplate, type Placed, valuesFor } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { RollbackPoint } from '../store/rollbackPoints.ts';
import type { Deps } from './context.ts';
import type { HostFacts } from './facts.ts';
import { whenPresent } from './presence.ts';
import { readRelease } from './releaseFiles.ts';
import { keepValues, openValues, sameValues, type Whose } from './values.ts';

const REPORT_MS = 5000;
/** More than one try of any check takes by default; who is slower is looked at by the steps. */
const LOOK_MS = 10_000;

export interface Target {
  version: string;
  identity: string;
  sealed: Service;
  /** Checks that are left out. */
  skip: readonly string[];
}

/** Throws `missing_variable` where a declared variable has no value on a host. `target` is null for a plan before its build. */
export async function gatherFacts(
  deps: Deps,
  placed: Placed,
  hosts: readonly HostRecord[],
  target: Target | null,
): Promise<HostFacts[]> {
  const points = await deps.store.rollbackPoints.list(placed.service, placed.environment);
  const hidden = await deps.store.hidden.list();
  const servers = await serversOf(deps, placed);
  return Promise.all(
    hosts.map(async (host): Promise<HostFacts> => {
      const configured = valuesFor(placed, host);
      const whose = { service: placed.service, environment: placed.environment, host: host.host };
      const declared = target === null ? configured : declaredValues(target, configured, host.host);
      const values = await keepValues(deps, declared, target?.sealed ?? null, whose);
      const newest = points.find((point) => point.host === host.host);
      const runs = await whatRuns(deps, placed.service, host.host);
      const prior = runs && {
        version: runs.version,
        identity: runs.identity,
        values: await priorValues(deps, whose, runs.version, points, configured),
      };
      const already =
        target !== null &&
        runs?.running === true &&
        runs.version === target.version &&
        runs.identity === target.identity &&
        // What was put there with the host itself was verified by no deployment. It has no values either.
        (isOwn(placed.service) || (newest?.version === target.version && sameValues(newest.values, values)));
      const server = placed.balancer === undefined ? null : fillTemplate(placed.balancer.server, host);
      return {
        host: host.host,
        server,
        absent: server !== null && servers !== null && !servers.includes(server),
        address: addressOf(placed, host),
        options: placed.balancer?.options ?? '',
        values,
        reached: runs !== undefined,
        prior: prior ?? null,
        already,
        well: already && (await isWell(deps, whose, target.version, values, target.skip)),
        hiddenByFleet: hidden.some(
          (record) =>
            record.host === host.host &&
            record.service === placed.service &&
            record.environment === placed.environment,
        ),
      };
    }),
  );
}

/** What the balancer has, by name; null where there is none, or it does not answer. */
export async function serversOf(
  { balancer }: Pick<Deps, 'balancer'>,
  placed: Placed,
): Promise<string[] | null> {
  if (placed.balancer === undefined) return null;
  const servers = await balancer(placed.balancer.name)
    .servers(placed.balancer.backend)
    .catch(() => null);
  return servers?.map(({ name }) => name) ?? null;
}

/** A host without the label that it is taken from has none that is known. */
function addressOf({ balancer }: Placed, host: HostRecord): string | null {
  if (balancer?.address === undefined) return null;
  try {
    return fillTemplate(balancer.address, host);
  } catch {
    return null;
  }
}

/** Values of just the variables that the version declares: what an environment gives beyond them is for other versions. */
export function declaredValues(target: Target, configured: ConfiguredValues, host: string): ConfiguredValues {
  const values: ConfiguredValues = {};
  for (const [name, { default: fallback }] of Object.entries(target.sealed.variables)) {
    const value = configured[name] ?? fallback;
    if (value === undefined) {
      throw new FleetError(
        'missing_variable',
        `${target.version} declares ${name}, which has no value on ${host}`,
        {
          next: `give ${name} a value in controller.yaml, or a default in fleet.yaml`,
          data: { host, variable: name },
        },
      );
    }
    values[name] = value;
  }
  return values;
}

/** By the agent's own report. Undefined: it does not answer, which ends the deployment while staging. */
async function whatRuns(deps: Deps, service: string, host: string) {
  const ask = async () => {
    await whenPresent(deps, host);
    return deps.agents.ask(host, 'step.report', { service }, { timeoutMs: REPORT_MS });
  };
  const report = await ask()
    // A link that broke in this very moment is soon there again.
    .catch((error: unknown) => (asFleetError(error).code === 'link_lost' ? ask() : undefined))
    .catch(() => undefined);
  if (report === undefined) return undefined;
  if (report.current === null || report.identity === null) return null;
  return {
    version: report.current,
    identity: report.identity,
    running: report.state === 'running' && report.running === report.current,
  };
}

/** What was verified once may have been restarted since, or have fallen ill: whether there is nothing to do is asked anew. */
async function isWell(
  deps: Deps,
  whose: Whose,
  version: string,
  values: KeptValues,
  skip: readonly string[],
): Promise<boolean> {
  const { service, host } = whose;
  const sent = await openValues(deps, values, whose);
  const asked = { service, version, ...sent, skip: [...skip], onceOnly: true };
  const answer = await deps.agents
    .ask(host, 'check.smoke', asked, { timeoutMs: LOOK_MS })
    .catch(() => undefined);
  return answer?.results.every(({ passed }) => passed) ?? false;
}

/**
 * The values that a version was verified with here; without such a record, what is configured of those that it declares. A secret
 * is the one that the variable has now: what it was is kept nowhere.
 */
async function priorValues(
  deps: Deps,
  whose: Whose,
  version: string,
  points: readonly RollbackPoint[],
  configured: ConfiguredValues,
): Promise<KeptValues> {
  const point = points.find((each) => each.host === whose.host && each.version === version);
  if (point !== undefined) return withPresentSecrets(deps, point.values, configured);
  const artifact = await deps.store.artifacts.byVersion(whose.service, version);
  if (artifact === undefined) return {};
  const { sealed } = await readRelease(artifact, deps.disk);
  const declared = Object.entries(configured).filter(([name]) => name in sealed.variables);
  return keepValues(deps, Object.fromEntries(declared), sealed, whose);
}

/** A secret that controller.yaml has under another name by now would else be in the way of the way back. */
function withPresentSecrets({ secrets }: Deps, values: KeptValues, configured: ConfiguredValues): KeptValues {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      const now = configured[name];
      const renamed =
        typeof value !== 'string' &&
        value.secret !== null &&
        !secrets.has(value.secret) &&
        typeof now === 'object';
      return [name, renamed ? { ...value, secret: now.secret } : value];
    }),
  );
}
