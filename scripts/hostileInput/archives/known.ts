/** The hostile archives that were made by hand, each compressed in both ways, and manifests that are none. */

import { directory, file, GOOD, instead, A as whole } from '@fleet/artifact/blocks.fixture.ts';
import { canonicalJson } from '@fleet/artifact/canonical.ts';
import { BY_ARCHIVE, BY_MANIFEST, type Case, makeArtifact } from '@fleet/artifact/hostile.fixture.ts';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { SEALED, SERVICE } from '../agentProgram.ts';
import type { HostileRelease } from './trial.ts';

export function knownReleases(): HostileRelease[] {
  const cases = [...BY_ARCHIVE, ...BY_MANIFEST].flatMap((each) =>
    each.raw === true || each.compression !== undefined
      ? [each]
      : [each, { ...each, compression: 'gzip' as const }],
  );
  const archives = cases.map((each, number) => made(each, `1.1.${number}`));
  return [...archives, ...liars()];
}

function made(each: Case, version: string, sealed: unknown = SEALED): HostileRelease {
  const { bytes, manifest } = makeArtifact(each, { service: SERVICE, version, sealed });
  return { name: `${each.name} (${manifest.artifact.compression})`, manifest, artifact: bytes };
}

const WELL: Case = { name: '', tar: instead(whole), refused: /./ };

/** A good archive under a manifest that lies, or is no manifest. */
function liars(): HostileRelease[] {
  let number = 0;
  const well = (sealed?: unknown) => made(WELL, `1.2.${number++}`, sealed);
  const bytes = (name: string, bytesOf: (manifest: Manifest) => string | Buffer): HostileRelease => {
    const release = well();
    return { ...release, name, manifestBytes: Buffer.from(bytesOf(release.manifest)) };
  };
  const text = (manifest: Manifest) => encodeManifest(manifest).toString();
  const other = (name: string, change: (manifest: Manifest) => Partial<Manifest>) =>
    bytes(name, (manifest) => canonicalJson({ ...manifest, ...change(manifest) }));
  const sealed = (name: string, more: object) => ({ ...well({ ...SEALED, ...more }), name });
  return [
    bytes('no manifest at all', () => ''),
    bytes('a manifest that is not JSON', () => 'files:\n  - a\n'),
    bytes('a manifest of zeros', () => Buffer.alloc(100_000)),
    bytes('a manifest that is not UTF-8', (manifest) =>
      Buffer.from(text(manifest).replace('"a"', '"\u00ff"'), 'latin1'),
    ),
    bytes('a manifest cut short', (manifest) => text(manifest).slice(0, -20)),
    bytes('a manifest twice', (manifest) => text(manifest) + text(manifest)),
    bytes('a manifest in an array', (manifest) => `[${text(manifest)}]`),
    bytes('a hundred thousand brackets', () => '['.repeat(100_000)),
    bytes('deep JSON', (manifest) =>
      text(manifest).replace('"sealed":{', `"sealed":{"x":${'['.repeat(5000)}${']'.repeat(5000)},`),
    ),
    bytes('__proto__ in a manifest', (manifest) => text(manifest).replace('{', '{"__proto__":{"format":1},')),
    bytes('a path twice under one key', (manifest) =>
      text(manifest).replace('"path":"a"', '"path":"a","path":"../a"'),
    ),
    bytes('one key more', (manifest) => text(manifest).replace('{', '{"run":["id"],')),
    other('the manifest of another service', () => ({ service: 'other' })),
    other('the manifest of another version', () => ({ version: '9.9.9' })),
    other('another identity', () => ({ identity: '0'.repeat(64) })),
    other('files that the identity does not cover', () => ({ files: [...GOOD, file('zz')] })),
    other('a mode that is none of the two', () => ({ files: [{ ...file('a'), mode: 0o4755 as 0o755 }] })),
    other('a negative size', () => ({ files: [{ ...file('a'), size: -1 } as Manifest['files'][number]] })),
    other('a size beyond counting', () => ({
      files: [{ ...file('a'), size: 2 ** 60 } as Manifest['files'][number]],
    })),
    other('a device', () => ({
      files: [{ type: 'device', path: 'a' } as unknown as Manifest['files'][number]],
    })),
    other('a hard link', () => ({
      files: [{ type: 'hardlink', path: 'a', target: 'z' } as unknown as Manifest['files'][number]],
    })),
    other('an artifact of no bytes', ({ artifact }) => ({ artifact: { ...artifact, size: 0 } })),
    other('an artifact digest that climbs', ({ artifact }) => ({
      artifact: { ...artifact, sha256: '../../../beside/a' },
    })),
    other('another compression', ({ artifact }) => ({ artifact: { ...artifact, compression: 'gzip' } })),
    other('a service that climbs', () => ({ service: '../beside' })),
    other('a version that climbs', () => ({ version: '../../beside' })),
    { ...well(), name: 'another artifact than was offered', offered: { artifact: 'a'.repeat(64) } },
    { ...well(), name: 'another manifest than was offered', offered: { manifest: 'b'.repeat(64) } },
    sealed('a shared path that climbs', { shared: ['../../beside'] }),
    sealed('a shared path that is absolute', { shared: ['/etc'] }),
    sealed('a shared path of everything', { shared: ['.'] }),
    sealed('shared paths in one another', { shared: ['d', 'd/f'] }),
    sealed('a shared path below a file', { shared: ['a/b'] }),
    sealed('a shared path through a link', { shared: ['l/b'] }),
    sealed('a loader variable', { variables: { LD_PRELOAD: {} } }),
    sealed('a service that is sealed under another form', { run: { supervisor: 'shell', command: 'id' } }),
    sealed('a shell line for a command', { run: { supervisor: 'process', command: 'sleep 1; id' } }),
    {
      ...made({ ...WELL, files: [directory('d')] }, '1.3.0'),
      name: 'an archive of more than the manifest names',
    },
  ];
}
