/** Whether a release has to be sent, and from where: asked before a byte of it is. */
import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { StreamPart } from '@fleet/protocol/messages/release.ts';
import { ifThere } from '../disk/durable.ts';
import { requireRoom } from '../disk/room.ts';
import { type Home, listReleases, makeHome, partPath, readCurrent } from './layout.ts';
import { listParts } from './receive.ts';
import { findRelease, removeRelease, verifyRelease } from './release.ts';
import { readStarted } from './started.ts';

type Offer = Request<AgentMethods, 'release.offer'>;

export async function considerOffer(home: Home, offer: Offer): Promise<Reply<AgentMethods, 'release.offer'>> {
  await makeHome(home);
  const obstacle = await whatIsWrong(home, offer);
  if (obstacle === 'nothing') return { state: 'present' };
  if (obstacle) await makeWay(home, offer.version, obstacle);

  const manifestFrom = await beginPart(home, offer.version, 'manifest', offer.manifest);
  const artifactFrom = await beginPart(home, offer.version, 'artifact', offer.artifact);
  const missing = offer.artifact.size - artifactFrom + offer.manifest.size - manifestFrom;
  await requireRoom(home.directory, offer.unpacked + missing, `${home.service} ${offer.version}`);
  return { state: 'wanted', manifestFrom, artifactFrom };
}

/** `nothing`: the release is here and whole. An error: what is here is not it. Undefined: nothing is here. */
async function whatIsWrong(home: Home, offer: Offer): Promise<'nothing' | FleetError | undefined> {
  const { version, identity } = offer;
  const release = await findRelease(home, version);
  if (release && release.identity !== identity)
    return new FleetError('version_exists', `${home.service} ${version} is on this host with other content`);
  if (release) return verifyRelease(home, release).then(() => 'nothing' as const, asFleetError);
  if ((await listReleases(home)).includes(version))
    return new FleetError('drifted', `${home.releases}/${version} was not put there by fleet`);
  return undefined;
}

/** Takes away what lies in the place of a release, unless it is in use. */
async function makeWay(home: Home, version: string, obstacle: FleetError): Promise<void> {
  if (obstacle.code !== 'drifted' && obstacle.code !== 'version_exists') throw obstacle;
  const current = await readCurrent(home);
  const started = await readStarted(home);
  if (version === current || (started?.wanted && version === started.version))
    throw new FleetError(obstacle.code, `${obstacle.message}; it is what runs here, so it is left alone`, {
      next: 'Deploy another version: a release is never changed while it is in use.',
      data: obstacle.data,
    });
  await removeRelease(home, version);
}

/** Bytes that are here already. A file with the digest in its name stands for the offer from now on. */
async function beginPart(
  home: Home,
  version: string,
  part: StreamPart,
  { sha256, size }: { sha256: string; size: number },
): Promise<number> {
  for (const found of await listParts(home, version, part))
    if (found.sha256 !== sha256) await rm(found.path, { force: true });
  const path = partPath(home, version, part, sha256);
  const here = (await ifThere(stat(path)))?.size;
  if (here === undefined) await writeFile(path, '', { mode: 0o600 });
  else if (here > size) await truncate(path, 0);
  return here === undefined || here > size ? 0 : here;
}
