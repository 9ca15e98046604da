/** Whether a release has to be sent, and from where: asked before a byte of it is. */
import { passing } from '@fleet/process/points.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { StreamPart } from '@fleet/protocol/messages/release.ts';
import { ifThere } from '../disk/durable.ts';
import { requireRoom } from '../disk/room.ts';
import type { Trust } from '../trust/trust.ts';
import { finishCommit } from './install.ts';
import { type Home, listReleases, makeHome, partPath, readCurrent } from './layout.ts';
import { listParts } from './receive.ts';
import { findRelease, removeRelease, verifyRelease } from './release.ts';
import { findManifest, requireSigned, writeSignature } from './signature.ts';
import { readStarted } from './started.ts';

/** What is not the release that was offered, and gives way to it where nobody uses it. */
const REPLACED: ReadonlySet<string> = new Set(['drifted', 'version_exists', 'not_signed']);
type Offer = Request<AgentMethods, 'release.offer'>;

export async function considerOffer(
  home: Home,
  offer: Offer,
  trust: Trust,
): Promise<Reply<AgentMethods, 'release.offer'>> {
  const { service, version, signed } = offer;
  trust.check({ service, version, manifest: offer.manifest.sha256 }, signed);
  await makeHome(home);
  // Staging is where a deployment may still fail: what would not be switched is not sent either.
  const current = await readCurrent(home);
  const obstacle = await whatIsWrong(home, offer, trust);
  if (obstacle === 'nothing') {
    await finishCommit(home, version);
    return { state: 'present' };
  }
  if (obstacle) await makeWay(home, version, current, obstacle);

  const { manifest, artifact } = offer;
  const manifestFrom = await bytesHere(home, version, 'manifest', manifest);
  const artifactFrom = await bytesHere(home, version, 'artifact', artifact);
  if (signed) await writeSignature(home, signed);
  const missing = manifest.size - manifestFrom + artifact.size - artifactFrom;
  await requireRoom(home.disk, home.directory, offer.unpacked + missing, `${home.service} ${version}`);
  await passing('agent.staging_made', async () => {
    await makePart(home, version, 'manifest', manifest.sha256);
    await makePart(home, version, 'artifact', artifact.sha256);
  });
  return { state: 'wanted', manifestFrom, artifactFrom };
}

/** `nothing`: the release is here and whole. An error: what is here is not it. Undefined: nothing is here. */
async function whatIsWrong(
  home: Home,
  offer: Offer,
  trust: Trust,
): Promise<'nothing' | FleetError | undefined> {
  const { version, identity } = offer;
  const release = await findRelease(home, version);
  if (release && release.identity !== identity)
    return new FleetError('version_exists', `${home.service} ${version} is on this host with other content`);
  if (release)
    return verifyRelease(home, release)
      .then(() => vouchFor(home, offer, trust))
      .then(() => 'nothing' as const, asFleetError);
  if ((await listReleases(home)).includes(version))
    return new FleetError('drifted', `${home.releases}/${version} was not put there by fleet`);
  return undefined;
}

/** The same content may have come with another manifest; the newer signature is kept where it is that of the one that is here. */
async function vouchFor(home: Home, { version, manifest, signed }: Offer, trust: Trust): Promise<void> {
  if (signed && (await findManifest(home, version)) === manifest.sha256) await writeSignature(home, signed);
  await requireSigned(home, version, trust);
}

/** Takes away what lies in the place of a release, unless it is in use. */
async function makeWay(
  home: Home,
  version: string,
  current: string | null,
  obstacle: FleetError,
): Promise<void> {
  if (!REPLACED.has(obstacle.code)) throw obstacle;
  const started = await readStarted(home);
  if (version === current || (started?.wanted && version === started.version))
    throw new FleetError(obstacle.code, `${obstacle.message}; it is what runs here, so it is left alone`, {
      next: 'Deploy another version: a release is never changed while it is in use.',
      data: obstacle.data,
    });
  await removeRelease(home, version);
}

/** What arrived of an earlier try. Other content under this version's name is no part of it. */
async function bytesHere(
  home: Home,
  version: string,
  part: StreamPart,
  { size, sha256 }: Offer[StreamPart],
): Promise<number> {
  for (const found of await listParts(home, version, part))
    if (found.sha256 !== sha256) await home.disk.rm(found.path, { force: true });
  const path = partPath(home, version, part, sha256);
  const here = (await ifThere(home.disk.stat(path)))?.size ?? 0;
  if (here <= size) return here;
  await home.disk.rm(path);
  return 0;
}

/** The file, with the digest in its name, stands for the offer from now on. */
async function makePart(home: Home, version: string, part: StreamPart, sha256: string): Promise<void> {
  const handle = await home.disk.open(partPath(home, version, part, sha256), 'a', 0o600);
  await handle.close();
}
