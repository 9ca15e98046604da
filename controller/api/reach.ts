/**
 * How far a token's scope must reach for each route: a route that is not here does not compile. What only lists is let in, and
 * lists no more than the scope takes in.
 */
import type { Scope } from '@fleet/protocol/access.ts';
import type { RouteName } from '@fleet/protocol/api/routes.ts';
import { type LabelledHost, placementOf, placesOn } from '../config/config.ts';
import type { Asked, Served } from './handlers.ts';

export interface Place {
  service: string;
  /** Null where it is of no environment, such as a build. */
  environment: string | null;
}
type Reach<N extends RouteName> = (
  asked: Asked<N>,
  served: Pick<Served, 'store' | 'config'>,
) => boolean | Promise<boolean>;

const filtered = ({ who, query }: { who: Scope; query: Partial<Record<keyof Place, string | undefined>> }) =>
  holds(who.services, query.service) && holds(who.environments, query.environment);
const everybody = () => true;
const wholeFleet = ({ who }: { who: Scope }) => isUnscoped(who);
/** Its environment may be left out; a service out of scope is not even looked for. */
const placed: Reach<'plans.make' | 'deployments.start' | 'deployments.rollback'> = (
  { who, body },
  { config },
) => holds(who.services, body.service) && isIn(who, placementOf(config, body.service, body.environment));
const ofDeployment = async (
  { who, params }: { who: Scope; params: { id: number } },
  { store }: Pick<Served, 'store'>,
) => isIn(who, await store.deployments.get(params.id));

const ofHost = async (
  { who, params }: { who: Scope; params: { host: string } },
  { store, config }: Pick<Served, 'store' | 'config'>,
) => {
  const host = await hostOf(store, params.host);
  return host !== undefined && isHostIn(who, host, config);
};

const REACHES: { [N in RouteName]: Reach<N> } = {
  'status.show': filtered,
  'hosts.list': everybody,
  'hosts.show': ofHost,
  'hosts.examine': ofHost,
  'hosts.forget': wholeFleet,
  // It is taken out of all that it is in.
  'hosts.out': ({ who, params }, served) => isWholeHostIn(who, params.host, served),
  'hosts.in': ({ who, params }, served) => isWholeHostIn(who, params.host, served),
  'hosts.remove': wholeFleet,
  'hosts.approve': wholeFleet,
  'hosts.revoke': wholeFleet,
  'identities.list': wholeFleet,
  'joining.create': wholeFleet,
  'joining.list': wholeFleet,
  'joining.revoke': wholeFleet,
  'profiles.list': wholeFleet,
  'profiles.show': wholeFleet,
  // Let in by what they prove, not by a token that has a scope.
  'agents.join': everybody,
  'agents.certify': everybody,
  'logs.read': async ({ who, params }, { store, config }) => {
    const host = await hostOf(store, params.host);
    return (
      host !== undefined &&
      placesOn(config, host).some((place) => place.service === params.service && isIn(who, place))
    );
  },
  'builds.start': ({ who, body }) => isIn(who, { service: body.service, environment: null }),
  'builds.show': async ({ who, params }, { store }) =>
    isIn(who, { service: (await store.builds.get(params.id)).service, environment: null }),
  'releases.list': ({ who, query }) => holds(who.services, query.service),
  // What is sent says itself of which service it is: held against the scope by the handler.
  'releases.push': everybody,
  'plans.make': placed,
  'deployments.start': placed,
  'deployments.rollback': placed,
  'deployments.list': filtered,
  'deployments.show': ofDeployment,
  'deployments.pause': ofDeployment,
  'deployments.resume': ofDeployment,
  'deployments.abort': ofDeployment,
  'deployments.skip': ofDeployment,
  'deployments.retry': ofDeployment,
  'deployments.output': ofDeployment,
  'trust.show': everybody,
  'trust.key': wholeFleet,
  'trust.replace': wholeFleet,
  'floors.list': everybody,
  // It holds wherever the service runs.
  'floors.set': ({ who, body }) => who.environments === null && holds(who.services, body.service),
  'signatures.add': ({ who, body }) =>
    body.signed.every(({ statement }) => isIn(who, { service: statement.service, environment: null })),
  // It goes onto every host.
  'programs.list': wholeFleet,
  'programs.fetch': wholeFleet,
  'rehearsals.begin': wholeFleet,
  'rehearsals.end': wholeFleet,
  'rehearsals.list': wholeFleet,
  'rehearsals.show': wholeFleet,
  'backups.start': wholeFleet,
  'backups.show': wholeFleet,
  'people.me': everybody,
  'people.list': everybody,
  // What is given is held against what the giver has, by the handler.
  'people.add': everybody,
  'people.revoke': everybody,
  'audit.list': wholeFleet,
  'audit.verify': wholeFleet,
};

async function isWholeHostIn(
  who: Scope,
  name: string,
  { store, config }: Pick<Served, 'store' | 'config'>,
): Promise<boolean> {
  const host = await hostOf(store, name);
  const places = host === undefined ? [] : placesOn(config, host);
  return places.length > 0 && places.every((place) => isIn(who, place));
}

async function hostOf(store: Served['store'], name: string): Promise<LabelledHost | undefined> {
  return (await store.hosts.list()).find((each) => each.host === name);
}

/** Throws what looking for the named thing throws, such as `unknown_deployment`. */
export async function isWithinReach<N extends RouteName>(
  name: N,
  asked: Asked<N>,
  served: Served,
): Promise<boolean> {
  if (isUnscoped(asked.who)) return true;
  return REACHES[name](asked, served);
}

export function isUnscoped({ services, environments }: Scope): boolean {
  return services === null && environments === null;
}

export function isIn(scope: Scope, { service, environment }: Place): boolean {
  return holds(scope.services, service) && holds(scope.environments, environment ?? undefined);
}

/** A name that is not given is no reason to refuse. */
function holds(names: readonly string[] | null, name: string | undefined): boolean {
  return names === null || name === undefined || names.includes(name);
}

/** Whether a host is for any service and environment that a scope takes in. */
export function isHostIn(scope: Scope, host: LabelledHost, config: Served['config']): boolean {
  return isUnscoped(scope) || placesOn(config, host).some((place) => isIn(scope, place));
}

/** Whether somebody may read of a topic of the event stream. Throws `unknown_deployment`, `bad_request` for one that there is not. */
export async function mayFollow(
  who: Scope,
  topic: string,
  { store }: Pick<Served, 'store'>,
): Promise<boolean> {
  const [kind, id] = topic.split('/');
  if (kind === 'deployment') return isIn(who, await store.deployments.get(Number(id)));
  if (kind === 'rehearsal') return isUnscoped(who);
  const { service } = await store.builds.get(Number(id));
  return isIn(who, { service, environment: null });
}
