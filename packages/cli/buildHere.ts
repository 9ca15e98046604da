/** `fleet build --sign-key`: this machine builds the folder that it stands in and signs what comes of it. No controller is asked. */
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from '@fleet/artifact/build/build.ts';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { writeParcel } from '@fleet/trust/parcel.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import { readKey } from './keyFiles.ts';

export interface Wanted {
  service: string;
  version?: string | undefined;
  ref?: string | undefined;
  /** The key that signs releases. */
  signKey: string;
  /** The folder that gets SERVICE-VERSION.fleet. */
  out: string;
  note(text: string): void;
  signal: AbortSignal;
}

export async function buildHere(wanted: Wanted): Promise<{ file: string; manifest: Manifest }> {
  const { service, version, ref, note, signal } = wanted;
  const key = readKey(wanted.signKey);
  const work = await mkdtemp(join(tmpdir(), 'fleet-build-'));
  const dir = (name: string) => join(work, name);
  try {
    const { manifest, artifactPath } = await build({
      ...{ service, version, ref, note, signal },
      source: { directory: process.cwd() },
      dirs: { git: dir('git'), work: dir('work'), artifacts: dir('artifacts'), logs: dir('logs') },
      existing: { bySourceKey: async () => undefined, byVersion: async () => undefined },
    });
    const release = { service, version: manifest.version, manifest: digestOf(encodeManifest(manifest)) };
    const signed = signStatement({ kind: 'release' as const, ...release, signedAt: Date.now() }, key);
    const file = join(resolve(wanted.out), `${service}-${manifest.version}.fleet`);
    const partial = `${file}.partial-${process.pid}`;
    try {
      await writeParcel(partial, { signed, manifest, artifactPath });
      await rename(partial, file);
    } finally {
      await rm(partial, { force: true });
    }
    return { file, manifest };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
