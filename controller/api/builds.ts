import type { Scope } from '@fleet/protocol/access.ts';
import type { Release } from '@fleet/protocol/api/builds.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { checkNames } from '../config/config.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Handlers, Served } from './handlers.ts';
import { isIn } from './reach.ts';

export function builds({
  deployer,
  store,
  config,
}: Served): Handlers<'builds.start' | 'builds.show' | 'releases.list' | 'releases.push'> {
  /** `environment/host` of every host whose newest rollback point is of this version. */
  async function runs(service: string, who: Scope): Promise<Map<string, string[]>> {
    const where = new Map<string, string[]>();
    for (const environment of Object.keys(config.environments)) {
      if (!isIn(who, { service, environment })) continue;
      const seen = new Set<string>();
      for (const point of await store.rollbackPoints.list(service, environment)) {
        if (seen.has(point.host)) continue;
        seen.add(point.host);
        where.set(point.version, [...(where.get(point.version) ?? []), `${environment}/${point.host}`]);
      }
    }
    return where;
  }

  return {
    'builds.start': async ({ body }) => ({ build: await deployer.build(body) }),
    'builds.show': async ({ params, who }) => {
      const { id, state, built, version, service, error } = await store.builds.get(params.id);
      const artifact = version === null ? undefined : await store.artifacts.byVersion(service, version);
      const release = artifact === undefined ? null : releaseOf(artifact, await runs(service, who));
      return { build: id, state, built, release, error };
    },
    'releases.push': async ({ upload, who }) => {
      const { artifact, added } = await deployer.receive(upload, (service) => {
        if (isIn(who, { service, environment: null })) return;
        throw new FleetError('forbidden', `${service} is out of the scope of ${who.name}`, {
          next: 'ask somebody with the role admin for a token that reaches further',
        });
      });
      return { release: releaseOf(artifact, await runs(artifact.service, who)), added };
    },
    'releases.list': async ({ query, who }) => {
      const artifacts = (await store.artifacts.list(query.service)).filter(({ service }) =>
        isIn(who, { service, environment: null }),
      );
      if (artifacts.length === 0) checkNames(config, query);
      const where = new Map<string, Map<string, string[]>>();
      for (const { service } of artifacts)
        if (!where.has(service)) where.set(service, await runs(service, who));
      return artifacts.map((artifact) => releaseOf(artifact, where.get(artifact.service)!));
    },
  };
}

function releaseOf(artifact: ArtifactRecord, where: ReadonlyMap<string, string[]>): Release {
  const {
    service,
    version,
    identity,
    ref,
    commit,
    platform,
    size,
    builtAt,
    notes,
    signature: signed,
  } = artifact;
  return {
    service,
    version,
    identity,
    ref,
    commit,
    platform,
    size,
    builtAt,
    notes,
    runs: where.get(version) ?? [],
    signed,
  };
}
