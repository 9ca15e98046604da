/** Real artifacts of a tiny service, packed once for a test file. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { pack } from '@fleet/artifact/pack.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';

export const SERVICE = 'segmenter';

/** What its fleet.yaml says. 1.2.0 is the version that migrates. */
function sealedOf(version: string): object {
  const migrating = version === '1.2.0';
  return {
    service: SERVICE,
    run: { supervisor: 'process', command: ['node', 'server.js'] },
    variables: { PORT: { default: '8000' } },
    smoke: [{ name: 'answers', kind: 'http', port: '${PORT}' }],
    once: migrating
      ? [
          { name: 'migrate', command: ['node', 'migrate.js'] },
          { name: 'clean', when: 'after', command: ['node', 'clean.js'] },
        ]
      : [],
  };
}

export async function fillShelf(dir: string, versions: string[]): Promise<ArtifactRecord[]> {
  return Promise.all(versions.map((version) => packVersion(dir, version)));
}

async function packVersion(dir: string, version: string): Promise<ArtifactRecord> {
  const folder = join(dir, version);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'server.js'), `// ${version}\n`);
  const artifactPath = join(dir, `${version}.tar.gz`);
  const manifest = await pack({
    dir: folder,
    service: SERVICE,
    version,
    sealed: sealedOf(version),
    source: { kind: 'git', ref: 'main', commit: 'c'.repeat(40) },
    platform: 'linux-x64',
    root: '.',
    include: ['**'],
    exclude: [],
    compression: 'gzip',
    out: artifactPath,
  });
  const manifestPath = join(dir, `${version}.json`);
  await writeFile(manifestPath, encodeManifest(manifest));
  return {
    service: SERVICE,
    version,
    identity: manifest.identity,
    sourceKey: version,
    ref: 'main',
    commit: 'c'.repeat(40),
    platform: manifest.platform,
    size: manifest.artifact.size,
    artifactPath,
    manifestPath,
    notes: [],
    builtAt: `2026-01-01T00:00:00.${version.replaceAll('.', '')}Z`,
    signature: null,
  };
}
