/**
 * A release in one file, for the way from the machine that signs to the controller: a line with the signature, a line with the
 * manifest, and then the artifact. Who receives it has seen whose it is before the first byte of the artifact.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { decodeManifest, encodeManifest } from '@fleet/artifact/manifest.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { type SignedRelease, signedRelease } from '@fleet/protocol/trust.ts';

const MOST_SIGNATURE = 4096;
const MOST_MANIFEST = 64 * 1024 * 1024;
const LINE_END = 10;

export interface Parcel {
  signed: SignedRelease;
  manifest: Manifest;
  /** As they were signed. */
  manifestBytes: Buffer;
  /** What follows: at least the artifact. */
  artifact: AsyncIterable<Buffer>;
}

export async function writeParcel(
  out: string,
  { signed, manifest, artifactPath }: { signed: SignedRelease; manifest: Manifest; artifactPath: string },
): Promise<void> {
  async function* content() {
    yield `${JSON.stringify(signed)}\n`;
    yield encodeManifest(manifest);
    yield* createReadStream(artifactPath) as AsyncIterable<Buffer>;
  }
  await pipeline(content, createWriteStream(out, { flags: 'wx', mode: 0o644, flush: true }));
}

/** Reads up to the artifact. Throws `bad_archive` for what has not this form. */
export async function openParcel(stream: AsyncIterable<Buffer>): Promise<Parcel> {
  const chunks = stream[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);

  async function line(most: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let length = 0; ; ) {
      const end = held.indexOf(LINE_END);
      const part = end < 0 ? held : held.subarray(0, end + 1);
      parts.push(part);
      length += part.length;
      if (length > most) throw refusal(`a line of it is longer than ${most} bytes`);
      held = held.subarray(part.length);
      if (end >= 0) return Buffer.concat(parts);
      const next = await chunks.next();
      if (next.done) throw refusal('it ends before its artifact');
      held = next.value;
    }
  }

  const signed = signedRelease.safeParse(parse(await line(MOST_SIGNATURE)));
  if (!signed.success) throw refusal('its first line is no signature');
  const manifestBytes = await line(MOST_MANIFEST);
  const manifest = decodeManifest(manifestBytes);
  if (!encodeManifest(manifest).equals(manifestBytes)) throw refusal('its manifest is not in canonical form');
  async function* artifact() {
    if (held.length > 0) yield held;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  }
  return { signed: signed.data, manifest, manifestBytes, artifact: artifact() };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function refusal(why: string): FleetError {
  return new FleetError('bad_archive', `this is no release that fleet build has written: ${why}`, {
    next: 'fleet build SERVICE --sign-key FILE writes one',
  });
}
