/** From two received streams to a release: decoded, unpacked, linked, synced, and only then visible under its name. */
import { join } from 'node:path';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import { passing } from '@fleet/process/points.ts';
import type { User } from '@fleet/process/user.ts';
import { type Code, FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { type Service, service as sealedService } from '@fleet/protocol/service.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { ifThere, randomName, syncPath, writeDurably } from '../disk/durable.ts';
import type { Host } from '../host.ts';
import {
  type Home,
  makeHome,
  manifestPath,
  partPath,
  releaseDirectory,
  sealedPath,
  statsPath,
} from './layout.ts';
import { listParts } from './receive.ts';
import { findRelease, type Sealed, verifyRelease } from './release.ts';
import { linkShared } from './shared.ts';
import { readSignature } from './signature.ts';
import { clearStaging } from './sweep.ts';

/** Refusals of what came, which is then of no use to a next try. */
const USELESS: ReadonlySet<Code> = new Set(['bad_archive', 'bad_config', 'not_signed', 'policy_refused']);

/** What a release is judged by. */
type Installing = Pick<Host, 'name' | 'policy' | 'trust' | 'supervisorFor'>;
type Commit = Request<AgentMethods, 'release.commit'>;

/** Does nothing where the release is there already. */
export async function commitRelease(
  home: Home,
  { version, identity }: Commit,
  host: Installing,
): Promise<Reply<AgentMethods, 'release.commit'>> {
  const there = await findRelease(home, version);
  if (there?.identity === identity) {
    const size = sizeOf(await verifyRelease(home, there));
    await finishCommit(home, version);
    return size;
  }

  await makeHome(home);
  await clearStaging(home);
  try {
    return sizeOf(await install(home, { version, identity }, host));
  } catch (error) {
    if (error instanceof FleetError && USELESS.has(error.code)) await removeParts(home, version);
    throw error;
  }
}

async function install(
  home: Home,
  { version, identity }: Pick<Commit, 'version' | 'identity'>,
  host: Installing,
): Promise<Manifest> {
  const { disk } = home;
  const { manifest, bytes } = await readManifest(home, version, identity);
  host.trust.check(
    { service: home.service, version, manifest: digestOf(bytes) },
    await readSignature(home, version),
  );
  const service = decodeSealed(manifest);
  await host.policy.admitHooks(service);
  const user = await host.policy.userOf(home.service);
  const place = { host: host.name, service: home.service, run: service.run, user };
  await host.supervisorFor(service.run).require?.(place);
  const artifact = partPath(home, version, 'artifact', manifest.artifact.sha256);
  if ((await ifThere(disk.stat(artifact)))?.size !== manifest.artifact.size)
    throw notWhole(home, version, 'artifact');

  const tree = join(home.staging, randomName());
  try {
    await passing('agent.unpacked', () => disk.unpack({ artifact, manifest, into: tree }));
    await publish(home, { manifest, bytes, tree, shared: service.shared, user });
  } catch (error) {
    await disk.rm(tree, { recursive: true, force: true });
    throw error;
  }
  await removeParts(home, version);
  return manifest;
}

/** For a release that is there: what an agent that died just after it came did not get to. */
export async function finishCommit(home: Home, version: string): Promise<void> {
  await syncPath(home.disk, home.releases);
  await removeParts(home, version);
}

interface Unpacked {
  manifest: Manifest;
  /** The manifest's own. */
  bytes: Buffer;
  tree: string;
  shared: string[];
  user: User | undefined;
}

async function publish(home: Home, { manifest, bytes, tree, shared, user }: Unpacked): Promise<void> {
  const { disk } = home;
  const { version, identity, sealed } = manifest;
  const kept: Sealed = { identity, sealed };
  const stats = await passing('agent.tree_ok', () => disk.recordStats(tree, manifest));
  await linkShared(home, version, tree, shared, user);
  await passing('agent.synced', async () => {
    await writeDurably(disk, manifestPath(home, version), bytes);
    await writeDurably(disk, statsPath(home, version), JSON.stringify(stats));
    await writeDurably(disk, sealedPath(home, version), JSON.stringify(kept));
  });
  await passing('agent.moved_to_releases', () => disk.rename(tree, releaseDirectory(home, version)));
  await syncPath(disk, home.releases);
  await syncPath(disk, home.staging);
}

function decodeSealed({ service, version, sealed }: Manifest): Service {
  const result = sealedService.safeParse(sealed);
  if (result.success) return result.data;
  const wrong = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new FleetError('bad_archive', `the sealed fleet.yaml of ${service} ${version}: ${wrong.join('; ')}`, {
    next: 'Bring the controller and its agents to the same version of fleet, then build the version again.',
  });
}

async function readManifest(
  home: Home,
  version: string,
  identity: string,
): Promise<{ manifest: Manifest; bytes: Buffer }> {
  const [part] = await listParts(home, version, 'manifest');
  if (!part) throw notWhole(home, version, 'manifest');
  const bytes = await home.disk.readFile(part.path);
  if (digestOf(bytes) !== part.sha256) throw notWhole(home, version, 'manifest');
  const manifest = decodeManifest(bytes);
  const { service } = manifest;
  if (service !== home.service || manifest.version !== version || manifest.identity !== identity)
    throw new FleetError(
      'bad_archive',
      `the manifest is of ${service} ${manifest.version} (${manifest.identity.slice(0, 12)}), not of ${home.service} ${version} (${identity.slice(0, 12)})`,
    );
  return { manifest, bytes };
}

function notWhole(home: Home, version: string, part: string): FleetError {
  return new FleetError(
    'transfer_failed',
    `the ${part} of ${home.service} ${version} is not whole on this host`,
    {
      next: 'Deploy again: what is missing is sent.',
    },
  );
}

function sizeOf(manifest: Manifest): { files: number; bytes: number } {
  const files = manifest.files.filter((entry) => entry.type === 'file');
  return { files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

async function removeParts(home: Home, version: string): Promise<void> {
  for (const part of ['manifest', 'artifact'] as const)
    for (const { path } of await listParts(home, version, part)) await home.disk.rm(path, { force: true });
}
