/** Releases whose signature is looked at: what is run is read from the very manifest that was signed. */

import { service as sealedService } from '@fleet/protocol/service.ts';
import { type SignedRelease, signedRelease } from '@fleet/protocol/trust.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { ifThere, makeDirectory, writeDurably } from '../disk/durable.ts';
import type { Trust } from '../trust/trust.ts';
import { type Home, manifestPath, signaturePath } from './layout.ts';
import { findRelease, type Release, requireRelease, type Sealed } from './release.ts';
import type { Started } from './started.ts';

/** Undefined where there is none, or what there is does not decode: either way nothing vouches for the release. */
export async function readSignature(home: Home, version: string): Promise<SignedRelease | undefined> {
  const text = await ifThere(home.disk.readFile(signaturePath(home, version), 'utf8'));
  try {
    return text === undefined ? undefined : signedRelease.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function writeSignature(home: Home, signed: SignedRelease): Promise<void> {
  await makeDirectory(home.disk, home.signatures, 0o700);
  await writeDurably(home.disk, signaturePath(home, signed.statement.version), JSON.stringify(signed));
}

/** Digest of the manifest that is on the disk. */
export async function findManifest(home: Home, version: string): Promise<string | undefined> {
  return (await readManifest(home, version))?.digest;
}

/** Before anything of a release is run. Throws `no_release`, `not_signed`, `below_floor`. */
export async function requireSigned(home: Home, version: string, trust: Trust): Promise<Release> {
  const release = await requireRelease(home, version);
  if (trust.says() === undefined) return release;
  const found = await readManifest(home, version);
  const { service } = home;
  const manifest = found?.digest ?? 'none';
  trust.check({ service, version, manifest }, await readSignature(home, version));
  return asIn(found!.bytes, release);
}

/**
 * The release that a service was started from: undefined where it is gone, or is not what it was when it was started and its
 * signature was looked at. Neither a key that was retired nor a floor that rose since then keeps anybody from stopping it.
 */
export async function findStarted(home: Home, { version, manifest }: Started): Promise<Release | undefined> {
  const release = await findRelease(home, version);
  if (release === undefined || manifest === undefined) return release;
  const found = await readManifest(home, version);
  return found?.digest === manifest ? asIn(found.bytes, release) : undefined;
}

/** Decoded as far as it is needed, by who knows that these are the bytes that were signed. */
function asIn(manifest: Buffer, release: Release): Release {
  const { identity, sealed } = JSON.parse(manifest.toString('utf8')) as Sealed;
  return { ...release, identity, service: sealedService.parse(sealed), manifest: digestOf(manifest) };
}

async function readManifest(
  home: Home,
  version: string,
): Promise<{ bytes: Buffer; digest: string } | undefined> {
  const bytes = await ifThere(home.disk.readFile(manifestPath(home, version)));
  return bytes && { bytes, digest: digestOf(bytes) };
}
