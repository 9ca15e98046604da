/** From what was asked to a plan: placement, hosts, what holds on them, and what the gates say. Nothing is touched or stored. */
import type { PlanRequest } from '@fleet/protocol/api/plans.ts';
import type { PassedBy } from '@fleet/protocol/api/recap.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { isRehearsal, keepOf, type Placed, placementOf, placesOn } from '../config/config.ts';
import type { Refusal } from '../gates/gate.ts';
import { refusals } from '../gates/gates.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { OutHost } from '../store/outHosts.ts';
import type { Deps } from './context.ts';
import type { HostFacts } from './facts.ts';
import { gatherFacts } from './gather.ts';
import { unseenFirst } from './order.ts';
import { type Plan, plan } from './plan.ts';
import { checkPolicies } from './policies.ts';
import { readRelease } from './releaseFiles.ts';
import { selectHosts } from './select.ts';
import type { Settings } from './settings.ts';
import { checkSigned } from './signed.ts';

export type Asked = Omit<PlanRequest, 'version' | 'ref'> & {
  retries?: number | undefined;
  ran?: readonly string[] | undefined;
  catchesUp?: true | undefined;
};

export interface Targeted {
  placed: Placed;
  /** All of the environment's hosts, and those that are asked for. */
  all: HostRecord[];
  hosts: HostRecord[];
  /** Those of the environment that it does not go to. */
  passedBy: PassedBy[];
}

/** Throws `unknown_service`, `unknown_environment`, `unknown_host`, `no_hosts`, `policy_refused`. */
export async function target(
  deps: Deps,
  asked: Pick<Asked, 'service' | 'environment' | 'hosts' | 'roles'>,
): Promise<Targeted> {
  const placed = placementOf(deps.config, asked.service, asked.environment);
  const known = await deps.store.hosts.list();
  const borrowed = borrowedHost(known, asked);
  const alone = borrowed && placesOn(deps.config, borrowed).find((each) => isSame(each, placed));
  if (borrowed && alone) {
    checkPolicies(deps.agents, placed.service, [borrowed]);
    return { placed: alone, all: [borrowed], hosts: [borrowed], passedBy: [] };
  }
  // Fleet's own programs have no users: who is out gets them too.
  const out = isOwn(placed.service) ? [] : await deps.store.outHosts.list();
  const isOut = ({ host }: HostRecord) => out.some((each) => each.host === host);
  const selected = selectHosts(placed, known, asked);
  const hosts = selected.filter((host) => !isOut(host));
  if (hosts.length === 0) throw allOut(placed, selected, out);
  checkPolicies(deps.agents, placed.service, hosts);
  const all = selectHosts(placed, known, {});
  const passedBy = all
    .filter((host) => !hosts.includes(host))
    .map((host): PassedBy => {
      const reason = isOut(host) ? 'out' : deps.agents.isConnected(host.host) ? 'not_asked' : 'away';
      return { host: host.host, reason };
    });
  return { placed, all: all.filter((host) => !isOut(host)), hosts, passedBy };
}

function allOut(
  { service, environment }: Placed,
  selected: readonly HostRecord[],
  out: readonly OutHost[],
): FleetError {
  const told = out
    .filter(({ host }) => selected.some((each) => each.host === host))
    .map((each) => `${each.host} is ${sayOut(each)}`);
  return new FleetError('no_hosts', `${service} in ${environment} has no host to go to: ${told.join('; ')}`, {
    next: `fleet hosts in ${selected[0]!.host}`,
  });
}

function sayOut({ by, why, since }: OutHost): string {
  return `out since ${since}, by ${by}: ${why}`;
}

/** A rehearsal's host is deployed to where it is asked for by its whole name, and alone. */
function borrowedHost(known: readonly HostRecord[], { hosts }: Pick<Asked, 'hosts'>): HostRecord | undefined {
  if (hosts?.length !== 1) return undefined;
  return known.find((host) => host.host === hosts[0] && isRehearsal(host));
}

function isSame(one: Placed, other: Placed): boolean {
  return one.service === other.service && one.environment === other.environment;
}

export interface Prepared {
  plan: Plan;
  facts: HostFacts[];
  settings: Settings;
  refusals: Refusal[];
  notes: string[];
  passedBy: PassedBy[];
}

/** `artifact` is null for the plan of a version that has yet to be built. */
export async function prepare(
  deps: Deps,
  kind: 'deploy' | 'rollback',
  asked: Asked,
  targeted: Targeted,
  artifact: ArtifactRecord | null,
): Promise<Prepared> {
  const { placed, all, hosts } = targeted;
  const release = artifact && (await readRelease(artifact, deps.disk));
  if (release) await checkSigned(deps, artifact, release);
  for (const name of asked.skipChecks) {
    if (release === null || release.sealed.smoke.some((check) => check.name === name)) continue;
    throw new FleetError('unknown_check', `${release.manifest.version} has no smoke check ${name}`, {
      next: `its checks are ${release.sealed.smoke.map((check) => check.name).join(', ') || 'none'}`,
    });
  }
  const gathered = await gatherFacts(
    deps,
    placed,
    hosts,
    release && {
      version: release.manifest.version,
      identity: release.manifest.identity,
      sealed: release.sealed,
      skip: asked.skipChecks,
    },
  );
  const facts = await unseenFirst(deps, placed, gathered);
  const settings = settingsOf(deps, asked, placed);
  const { retries, ran = [] } = asked;
  const once = placed.rehearsed ? [] : (release?.sealed.once ?? []).filter(({ name }) => !ran.includes(name));
  const onceOn = placed.once_on ?? hosts[0]!.host;
  const made = plan({
    kind,
    version: release?.manifest.version ?? 'the-new-version',
    identity: release?.manifest.identity ?? '0'.repeat(64),
    hosts: facts,
    strategy: settings.strategy,
    once,
    onceOn,
    skipChecks: asked.skipChecks,
  });
  const notes: string[] = [];
  if (retries !== undefined) notes.push(`retries deployment ${retries}`);
  if (ran.length > 0 && !asked.catchesUp) notes.push(`${ran.join(', ')} ran already, and will not run again`);
  if (release === null) notes.push('once steps are known after the build: fleet.yaml declares them');
  if (kind === 'deploy' && once.length > 0 && !hosts.some((host) => host.host === onceOn)) {
    notes.push(
      `${once.map((each) => each.name).join(', ')} will not run: ${onceOn} runs once steps, and it is not among the hosts`,
    );
  }
  for (const host of hosts)
    if (!deps.agents.isConnected(host.host)) notes.push(`${host.host} is not connected`);
  for (const each of await deps.store.outHosts.list())
    if (targeted.passedBy.some(({ host, reason }) => host === each.host && reason === 'out'))
      notes.push(`${each.host} is passed by: ${sayOut(each)}`);
  for (const { host, reason } of targeted.passedBy)
    if (reason === 'away') notes.push(`${host} is passed by: its agent is not connected`);
  // One that catches up and is not shown takes nobody away, however few the others are.
  const unseen = new Set(facts.filter((each) => each.hiddenByFleet || each.absent).map(({ host }) => host));
  const takesAway = ({ host }: { host: string }) => !(asked.catchesUp && unseen.has(host));
  const hiddenTogether = Math.max(
    0,
    ...made.phases.map(
      (phase) =>
        phase.lanes.filter((lane) => lane.steps.some((step) => step.args.kind === 'hide') && takesAway(lane))
          .length,
    ),
  );
  const input = { service: placed.service, environment: placed.environment, strategy: settings.strategy };
  const closed = await refusals({
    ...input,
    hasBalancer: settings.balancer !== null,
    hosts: all.length,
    hiddenTogether,
  });
  const busy = await deps.store.deployments.whoHolds({ ...input, hosts: hosts.map(({ host }) => host) });
  const held = busy === undefined ? [] : [{ code: busy.code, message: busy.message, next: busy.next }];
  return { plan: made, facts, settings, refusals: [...held, ...closed], notes, passedBy: targeted.passedBy };
}

function settingsOf(deps: Deps, asked: Asked, placed: Placed): Settings {
  const { strategy, balancer } = placed;
  return {
    strategy: {
      ...strategy,
      batch: asked.batch ?? strategy.batch,
      settle: asked.soak ?? strategy.settle,
      // What it had before is not what its environment is on.
      ...(asked.catchesUp && { on_failure: 'stop' }),
    },
    balancer: balancer === undefined ? null : { name: balancer.name, backend: balancer.backend },
    keep: keepOf(deps.config, placed.service),
  };
}
