/** Which version: one that exists, or one that is built now. The only way from here to a build. */

import { build } from '@fleet/artifact/build/build.ts';
import type { BuildUser } from '@fleet/artifact/build/buildUser.ts';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { passing } from '@fleet/process/points.ts';
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { SignedRelease } from '@fleet/protocol/trust.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { digestOf } from '@fleet/trust/release.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Deps } from './context.ts';
import { unknownVersion } from './course.ts';

type Tell = (event: FleetEvent) => Promise<unknown>;

export interface Wanted {
  service: string;
  version?: string | undefined;
  ref?: string | undefined;
}

export interface BuildDirs {
  git: string;
  work: string;
  artifacts: string;
  logs: string;
}

export interface Builder {
  store: Deps['store'];
  config: Deps['config'];
  turns: Deps['turns'];
  clock: Deps['clock'];
  signing: Deps['signing'];
  dirs: BuildDirs;
  /** See `build`. */
  buildUser?: BuildUser | undefined;
}

export type BuildEnded = Extract<FleetEvent, { type: 'build.ended' }>;
/** How a build ended, with the event that tells of it: the caller keeps both in one commit. */
export type Built =
  | { artifact: ArtifactRecord; error: null; event: BuildEnded }
  | { artifact: null; error: FleetError; event: BuildEnded };

export async function existing(
  { store }: Pick<Builder, 'store'>,
  service: string,
  version: string,
): Promise<ArtifactRecord> {
  const artifact = await store.artifacts.byVersion(service, version);
  if (artifact === undefined) throw unknownVersion(service, version);
  return artifact;
}

/** Builds a ref, or the service's own. Builds of one service take turns: the second one finds what the first has built. */
export async function buildVersion(
  builder: Builder,
  wanted: Wanted,
  tell: Tell,
  signal: AbortSignal,
): Promise<Built> {
  const ref = refToBuild(builder, wanted);
  const started = builder.clock.now();
  const ended = (artifact: ArtifactRecord | null, built: boolean, error: FleetError | null): BuildEnded => ({
    type: 'build.ended',
    version: artifact?.version ?? null,
    built,
    notes: artifact?.notes ?? [],
    ms: builder.clock.now() - started,
    error: error?.toJSON() ?? null,
  });
  await passing('controller.build_start', () =>
    tell({ type: 'build.started', service: wanted.service, ref }),
  );
  try {
    const { artifact, built } = await builder.turns.take(`build/${wanted.service}`, () =>
      buildNow(builder, wanted, tell, signal),
    );
    return { artifact, error: null, event: ended(artifact, built, null) };
  } catch (thrown) {
    const error = signal.aborted
      ? new FleetError('aborted', `the build of ${wanted.service} was stopped`)
      : asFleetError(thrown);
    return { artifact: null, error, event: ended(null, false, error) };
  }
}

/** A service's own ref where nothing else is asked for; of a folder, its path. */
export function refToBuild({ config }: Builder, { service, ref }: Pick<Wanted, 'service' | 'ref'>): string {
  const { source } = config.services[service]!;
  return ref ?? ('git' in source ? source.ref : source.directory);
}

/** Throws `not_signed` where another machine signs: what would be built here, no host would take. `bad_request` for fleet's own. */
export function checkMayBuild({ signing }: Pick<Builder, 'signing'>, service: string): void {
  if (isOwn(service))
    throw new FleetError('bad_request', `${service} is fleet’s own: no source of it is known here`, {
      next: './scripts/bundle makes it; fleet agents upgrade brings it to the hosts',
    });
  if (signing === null || signing.trust().statement.level === 'L0') return;
  throw new FleetError(
    'not_signed',
    `this controller does not sign releases, so it builds none of ${service}`,
    {
      next: `fleet build ${service} --sign-key FILE on the machine that has the key, then fleet push FILE`,
    },
  );
}

async function buildNow(builder: Builder, wanted: Wanted, tell: Tell, signal: AbortSignal) {
  const { artifacts } = builder.store;
  const { service } = wanted;
  checkMayBuild(builder, service);
  const made = await build({
    service,
    source: builder.config.services[service]!.source,
    ref: wanted.ref,
    version: wanted.version,
    dirs: builder.dirs,
    buildUser: builder.buildUser,
    existing: {
      bySourceKey: (key) => artifacts.bySourceKey(service, key),
      byVersion: (name, version) => artifacts.byVersion(name, version),
    },
    since: await runningCommit(builder, service),
    note: (text) => void tell({ type: 'build.note', text }),
    signal,
  });
  const { manifest } = made;
  const artifact: ArtifactRecord = {
    service,
    version: manifest.version,
    identity: manifest.identity,
    sourceKey: made.sourceKey,
    ref: manifest.source.ref,
    commit: manifest.source.commit ?? null,
    platform: manifest.platform,
    size: manifest.artifact.size,
    artifactPath: made.artifactPath,
    manifestPath: made.manifestPath,
    notes: made.notes,
    builtAt: new Date().toISOString(),
    signature: await signatureOf(builder, manifest),
  };
  if (made.built) await artifacts.add(artifact);
  return { artifact: (await artifacts.byVersion(service, manifest.version)) ?? artifact, built: made.built };
}

/** What was built again because its files were gone keeps its time: it is no newer than it was. */
async function signatureOf({ signing, store }: Builder, manifest: Manifest): Promise<SignedRelease | null> {
  const { service, version } = manifest;
  const before = await store.artifacts.byVersion(service, version);
  const release = { service, version, manifest: digestOf(encodeManifest(manifest)) };
  return signing?.sign(release, before?.signature?.statement.signedAt) ?? null;
}

/** The commit of what was verified last anywhere: release notes begin after it. */
async function runningCommit({ store, config }: Builder, service: string): Promise<string | undefined> {
  const points = await Promise.all(
    Object.keys(config.environments).map((environment) => store.rollbackPoints.list(service, environment)),
  );
  const newest = points
    .flatMap((each) => each.slice(0, 1))
    .sort((one, other) => other.deployment - one.deployment)[0];
  const artifact = newest && (await store.artifacts.byVersion(service, newest.version));
  return artifact?.commit ?? undefined;
}
