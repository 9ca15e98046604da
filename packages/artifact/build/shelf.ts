/** Where artifacts stay: `artifacts/SERVICE/VERSION.tar.zst` (or .tar.gz) and `VERSION.manifest.json`. */
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { passing } from '@fleet/process/points.ts';
import type { Compression, Manifest } from '@fleet/protocol/manifest.ts';
import { decodeManifest, encodeManifest } from '../manifest.ts';
import type { Job, StoredArtifact } from './request.ts';

export const ENDING = { zstd: 'tar.zst', gzip: 'tar.gz' } as const satisfies Record<Compression, string>;

export interface Shelved {
  manifest: Manifest;
  artifactPath: string;
  manifestPath: string;
}

/** The files of an artifact that the store knows, or undefined where they are gone or not what they were. */
export async function takeDown(stored: StoredArtifact): Promise<Shelved | undefined> {
  const { artifactPath, manifestPath } = stored;
  try {
    const manifest = decodeManifest(await readFile(manifestPath));
    const { size } = await stat(artifactPath);
    const whole = size === manifest.artifact.size && manifest.identity === stored.identity;
    return whole ? { manifest, artifactPath, manifestPath } : undefined;
  } catch {
    return undefined;
  }
}

/** Moves a packed artifact to its place. The manifest comes last: where it is, the artifact is whole. */
export async function shelve(
  packed: string,
  manifest: Manifest,
  artifacts: string,
  { dir }: Pick<Job, 'dir'>,
): Promise<Shelved> {
  const folder = join(artifacts, manifest.service);
  await mkdir(folder, { recursive: true });
  const artifactPath = join(folder, `${manifest.version}.${ENDING[manifest.artifact.compression]}`);
  const manifestPath = join(folder, `${manifest.version}.manifest.json`);
  const written = join(dir, 'manifest.json');
  const file = await open(written, 'wx', 0o644);
  try {
    await file.writeFile(encodeManifest(manifest));
    await file.sync();
  } finally {
    await file.close();
  }
  await passing('controller.artifact_stored', () => rename(packed, artifactPath));
  await passing('controller.manifest_signed', () => rename(written, manifestPath));
  await syncFolder(folder);
  await syncFolder(artifacts);
  return { manifest, artifactPath, manifestPath };
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
