/** The versions that are deployed, with everything that a fleet.yaml can ask for, and where the controller finds their files. */
import { createHash } from 'node:crypto';
import { identityOf } from '@fleet/artifact/identity.ts';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import type { ArtifactRecord } from '@fleet/controller/store/artifacts.ts';
import type { Entry, Manifest } from '@fleet/protocol/manifest.ts';
import { type Service, service as serviceSchema } from '@fleet/protocol/service.ts';
import type { Contents } from './trees.ts';

/** The first has users and a balancer before it, the second has neither. */
export const SERVICES = ['web', 'jobs'] as const;

const hook = (name: string, repeatable: boolean) => ({ command: ['hook', name], repeatable });
const TRAITS: Record<string, object> = {
  '1.0.0': {},
  '1.1.0': { hooks: { before_stop: hook('before_stop', true), after_start: hook('after_start', false) } },
  '1.2.0': {
    once: [
      { name: 'migrate', ...hook('migrate', false) },
      { name: 'clean', when: 'after', ...hook('clean', true) },
    ],
  },
  '1.3.0': { shared: ['data'], smoke: [] },
  '1.4.0': {
    hooks: {
      before_stop: hook('before_stop', false),
      after_stop: hook('after_stop', true),
      before_start: hook('before_start', false),
    },
    shared: ['data', 'logs/old'],
  },
};
export const VERSIONS = Object.keys(TRAITS);
/** What every host begins with, and nothing is wrong with. */
export const FIRST = VERSIONS[0]!;

export interface Shelved {
  record: ArtifactRecord;
  manifest: Manifest;
  service: Service;
}

export class Shelf {
  readonly services = SERVICES;
  readonly files = new Map<string, Buffer>();
  readonly #versions = new Map<string, Shelved>();

  constructor() {
    for (const service of SERVICES) for (const version of VERSIONS) this.#add(service, version);
  }

  all(): Shelved[] {
    return [...this.#versions.values()];
  }

  of(service: string, version: string): Shelved {
    return this.#versions.get(`${service} ${version}`)!;
  }

  #add(service: string, version: string): void {
    const sealed = {
      service,
      run: { supervisor: 'process', command: ['serve'] },
      variables: { PORT: { default: '8000' } },
      smoke: [{ name: 'answers', kind: 'http', port: '${PORT}', contains: '${VERSION}', within: '3s' }],
      ...TRAITS[version],
    };
    const contents: Contents = {
      'bin/serve': `serve ${service} ${version}`,
      'data/first': 'brought along',
      'text/long': `${service} ${version} `.repeat(50 + 40 * VERSIONS.indexOf(version)),
    };
    const files: Entry[] = [
      ...['bin', 'data', 'text'].map((path): Entry => ({ type: 'directory', path })),
      ...Object.entries(contents).map(([path, content]): Entry => {
        const bytes = Buffer.from(content);
        return { type: 'file', path, mode: 0o644, size: bytes.length, sha256: sha256(bytes) };
      }),
    ].sort((one, other) => (one.path < other.path ? -1 : 1));
    const artifact = Buffer.from(JSON.stringify(contents));
    const manifest: Manifest = {
      format: 1,
      service,
      version,
      identity: identityOf(files, sealed),
      source: { kind: 'git', ref: 'main', commit: 'c'.repeat(40) },
      platform: 'linux-x64',
      sealed,
      files,
      artifact: { sha256: sha256(artifact), size: artifact.length, compression: 'gzip' },
    };
    const record: ArtifactRecord = {
      service,
      version,
      identity: manifest.identity,
      sourceKey: version,
      ref: 'main',
      commit: 'c'.repeat(40),
      platform: manifest.platform,
      size: artifact.length,
      artifactPath: `/artifacts/${service}/${version}.tar`,
      manifestPath: `/artifacts/${service}/${version}.json`,
      notes: [],
      builtAt: `2026-01-01T00:00:00.${version.replaceAll('.', '')}Z`,
      signature: null,
    };
    this.files.set(record.artifactPath, artifact);
    this.files.set(record.manifestPath, encodeManifest(manifest));
    this.#versions.set(`${service} ${version}`, { record, manifest, service: serviceSchema.parse(sealed) });
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
