/** A release that another machine has built and signed. Whose it is is known before a byte of its artifact is taken. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { shelve, takeDown } from '@fleet/artifact/build/shelf.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { openParcel } from '@fleet/trust/parcel.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { checkService } from '../config/config.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import type { Builder } from './resolve.ts';

export interface Received {
  artifact: ArtifactRecord;
  /** False where it was here already. */
  added: boolean;
}

/**
 * `admit` throws where whoever sends it may not send this service. Throws `not_signed`, `below_floor`, `version_exists`,
 * `bad_archive`, `unknown_service`, `not_initialised`.
 */
export async function receiveRelease(
  builder: Builder,
  stream: AsyncIterable<Buffer>,
  admit: (service: string) => void,
): Promise<Received> {
  const { signing, store, config, turns } = builder;
  if (signing === null)
    throw new FleetError('not_initialised', 'this controller runs in development, where nothing is signed', {
      next: 'fleet init controller makes its keys',
    });
  const { signed, manifest, manifestBytes, artifact } = await openParcel(stream);
  const { service, version } = manifest;
  admit(service);
  checkService(config, service);
  const floors = (await store.floors.list()).map((floor) => floor.signed);
  signing.check({ service, version, manifest: digestOf(manifestBytes) }, signed, floors);
  return turns.take(`build/${service}`, async () => {
    const before = await store.artifacts.byVersion(service, version);
    if (before !== undefined && before.identity !== manifest.identity)
      throw new FleetError('version_exists', `${service} ${version} exists already, with other content`, {
        next: 'build it under another version: fleet build --version',
        data: { version, existing: before.identity, now: manifest.identity },
      });
    if (before !== undefined && (await takeDown(before)) && before.signature?.key === signed.key)
      return { artifact: before, added: false };
    const record: ArtifactRecord = {
      service,
      version,
      identity: manifest.identity,
      sourceKey: digestOf(manifestBytes),
      ref: manifest.source.ref,
      commit: manifest.source.commit ?? null,
      platform: manifest.platform,
      size: manifest.artifact.size,
      ...(await keep(builder, manifest, artifact)),
      notes: [],
      builtAt: new Date().toISOString(),
      signature: signed,
    };
    await store.artifacts.add(record);
    return { artifact: (await store.artifacts.byVersion(service, version)) ?? record, added: true };
  });
}

/** On the disk and whole when this resolves; nothing is left where it does not. */
async function keep({ dirs }: Builder, manifest: Manifest, artifact: AsyncIterable<Buffer>) {
  await mkdir(dirs.work, { recursive: true });
  const dir = await mkdtemp(join(dirs.work, `${manifest.service}-pushed-`));
  try {
    const packed = join(dir, 'artifact');
    const hash = createHash('sha256');
    const { size, sha256 } = manifest.artifact;
    let length = 0;
    async function* measured() {
      for await (const chunk of artifact) {
        length += chunk.length;
        if (length > size) throw notWhole(manifest, `more than its ${size} bytes came`);
        hash.update(chunk);
        yield chunk;
      }
    }
    await pipeline(measured, createWriteStream(packed, { flags: 'wx', mode: 0o644, flush: true }));
    if (length !== size || hash.digest('hex') !== sha256)
      throw notWhole(manifest, `its ${length} bytes are not those of its manifest`);
    const { artifactPath, manifestPath } = await shelve(packed, manifest, dirs.artifacts, { dir });
    return { artifactPath, manifestPath };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function notWhole({ service, version }: Manifest, why: string): FleetError {
  return new FleetError('bad_archive', `the artifact of ${service} ${version} is refused: ${why}`, {
    next: 'push it again, or build it again',
  });
}
