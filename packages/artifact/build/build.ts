/** Source and ref to artifact. */
import { hash } from 'node:crypto';
import { mkdir, mkdtemp, realpath } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { loadYaml } from '@fleet/config/load.ts';
import { findUnprivileged } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type Service, service as serviceFile } from '@fleet/protocol/service.ts';
import { versionName } from '@fleet/protocol/words.ts';
import { pack } from '../pack.ts';
import { unpack } from '../unpack.ts';
import { buildEnvironment, runCommand } from './commands.ts';
import type { BuildRequest, Built, Job, StoredArtifact } from './request.ts';
import { openRoom, removeTree } from './rooms.ts';
import { shelve, takeDown } from './shelf.ts';
import { type FoundSource, findSource } from './source.ts';
import { versionOfTime } from './version.ts';

const PLATFORM = `${process.platform}-${process.arch}`;

/**
 * One build of a service at a time: the caller sees to that, for two would fetch into one mirror. Throws FleetError
 * `unknown_ref`, `source_failed`, `bad_config`, `build_failed`, `test_failed`, `version_exists`, `disk_full`, `aborted`.
 */
export async function build(request: BuildRequest): Promise<Built> {
  const job = await openJob(request);
  try {
    const source = await findSource(request, job);
    const sourceKey = keyOf(request.service, source);
    const wanted = wantedVersion(request, source);
    const before = await findBuilt(request, sourceKey, wanted);
    if (before !== undefined) return { ...before, sourceKey, built: false, notes: source.notes, log: null };

    const version = wanted ?? versionOfTime(source.at, sourceIdOf(source, sourceKey));
    const tree = await source.tree();
    const { service, raw } = await readService(request, source, tree);
    const env = await buildEnvironment(job, version, source.at, service.build.environment, request.buildUser);
    await runBuild(request, job, service, tree, env);
    const packed = join(job.dir, 'artifact');
    const manifest = await packTree(request, source, service, raw, version, tree, packed);
    const twin = await findTwin(request, source, manifest);
    if (twin === undefined) await testPackage(request, job, service, manifest, packed, env);
    const shelved = twin ?? (await shelve(packed, manifest, request.dirs.artifacts, job));
    return { ...shelved, sourceKey, built: true, notes: source.notes, log: job.log };
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOSPC' ? diskFull(request, error) : error;
  } finally {
    await closeJob(request, job);
  }
}

async function openJob({ service, dirs, buildUser }: BuildRequest): Promise<Job> {
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true });
  const dir = await realpath(await mkdtemp(join(dirs.work, `${service}-`)));
  const room = await openRoom(buildUser, dir, service);
  return { dir, room, log: join(dirs.logs, `build-${basename(dir)}.log`) };
}

async function closeJob({ note }: BuildRequest, { dir, room }: Job): Promise<void> {
  const left = (folder: string) => (error: Error) =>
    note(`the work tree ${folder} could not be removed: ${error.message}`);
  await room.remove().catch(left(room.seen));
  await removeTree(dir).catch(left(dir));
}

/** Platform and Node belong to it: what npm compiles for one does not run on another. */
function keyOf(service: string, { content, folder }: FoundSource): string {
  const node = process.versions.node.split('.')[0];
  return hash('sha256', JSON.stringify([service, content, folder, PLATFORM, node]));
}

/** In a derived version a commit is found again by people; a folder has nothing better than its key. */
function sourceIdOf({ described }: FoundSource, sourceKey: string): string {
  return described.commit ?? sourceKey;
}

function wantedVersion({ version }: BuildRequest, { tagged }: FoundSource): string | undefined {
  const given = versionName.optional().safeParse(version);
  if (!given.success)
    throw new FleetError('bad_request', `${JSON.stringify(version)}: ${given.error.issues[0]!.message}`);
  return given.data ?? tagged;
}

/** An artifact of this very source, under the wanted version or, where none is wanted, under any. */
async function findBuilt({ service, existing, note }: BuildRequest, sourceKey: string, wanted?: string) {
  const stored = wanted ? await existing.byVersion(service, wanted) : await existing.bySourceKey(sourceKey);
  if (stored === undefined || stored.sourceKey !== sourceKey) return undefined;
  const shelved = await takeDown(stored);
  note(
    shelved === undefined
      ? `the files of ${service} ${stored.version} are gone or damaged: building it again`
      : `the source is unchanged: ${service} ${stored.version} exists`,
  );
  return shelved;
}

async function readService(
  { service: name }: BuildRequest,
  { fileName }: FoundSource,
  tree: string,
): Promise<{ service: Service; raw: unknown }> {
  const path = join(tree, 'fleet.yaml');
  const real = await realpath(path).catch(() => path);
  if (dirname(real) !== tree)
    throw new FleetError('bad_config', `${fileName}: it is a link that leaves its folder`);
  const { value: service, raw } = await loadYaml(path, serviceFile, fileName);
  if (service.service !== name)
    throw new FleetError(
      'bad_config',
      `${fileName}: service is ${service.service}, but it was built as ${name}`,
      {
        next: 'Give it the same name in fleet.yaml and in controller.yaml.',
      },
    );
  return { service, raw };
}

async function runBuild(
  { note, signal, buildUser }: BuildRequest,
  job: Job,
  { build }: Service,
  folder: string,
  env: Record<string, string>,
): Promise<void> {
  if (build.command === undefined) return;
  const what = 'the build command';
  const command = {
    code: 'build_failed' as const,
    what,
    argv: build.command,
    timeoutMs: build.timeout,
    cwd: join(job.room.seen, relative(job.room.own, folder)),
    env,
    user: buildUser?.user,
  };
  await job.room.give('tree');
  await runCommand(command, job, note, signal);
  await job.room.takeBack('tree');
  // A link in its place would pack what the repository does not hold.
  if ((await realpath(folder).catch(() => undefined)) !== folder)
    throw new FleetError(
      'build_failed',
      'the build command has put something else in the place of its folder',
    );
}

async function packTree(
  { service: name, note, signal }: BuildRequest,
  { described }: FoundSource,
  service: Service,
  sealed: unknown,
  version: string,
  dir: string,
  out: string,
): Promise<Manifest> {
  if (signal.aborted) throw new FleetError('aborted', 'the build was aborted');
  note(`packing ${name} ${version}`);
  const { root, include, exclude, compression } = service.package;
  return pack({
    ...{ dir, service: name, version, sealed, source: described, platform: PLATFORM },
    ...{ root, include, exclude, compression, out },
  });
}

/** The same version with the same content is the same artifact; with other content it is refused. */
async function findTwin(request: BuildRequest, { tagged }: FoundSource, manifest: Manifest) {
  const { service, version, identity } = manifest;
  const stored: StoredArtifact | undefined = await request.existing.byVersion(service, version);
  if (stored === undefined) return undefined;
  if (stored.identity === identity) {
    request.note(`${service} ${version} exists with the same content`);
    return takeDown(stored);
  }
  throw new FleetError('version_exists', `${service} ${version} exists already, with other content`, {
    next:
      request.version === undefined && tagged !== undefined
        ? 'Put a higher tag on the commit, or choose another version with --version.'
        : 'Choose another version with --version.',
    data: { version, existing: stored.identity, now: identity },
  });
}

/** What will be unpacked on the hosts is what is tested: not the tree that it was packed from. */
async function testPackage(
  { note, signal, buildUser }: BuildRequest,
  job: Job,
  { package: { test } }: Service,
  manifest: Manifest,
  artifact: string,
  env: Record<string, string>,
): Promise<void> {
  if (test === undefined) return;
  const into = join(job.room.own, 'package');
  await unpack({ artifact, manifest, into, as: await findUnprivileged() });
  await job.room.give('package');
  const what = 'the package test';
  const command = {
    code: 'test_failed' as const,
    what,
    argv: test.command,
    timeoutMs: test.timeout,
    cwd: join(job.room.seen, 'package'),
    env,
    user: buildUser?.user,
  };
  await runCommand(command, job, note, signal);
}

function diskFull({ dirs }: BuildRequest, cause: unknown): FleetError {
  return new FleetError('disk_full', `the controller’s disk has no room left to build in ${dirs.work}`, {
    next: 'Make room there and build again.',
    cause,
  });
}
