/** Fleet's own programs as releases: a folder becomes `INTO/SERVICE/VERSION.tar.gz` and its manifest, as the controller registers them. */
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '@fleet/artifact/canonical.ts';
import { decodeManifest, encodeManifest } from '@fleet/artifact/manifest.ts';
import { pack } from '@fleet/artifact/pack.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { OWN, type OwnService } from '@fleet/protocol/words.ts';
import project from '../../package.json' with { type: 'json' };
import type { Platform } from './elf.ts';
import { NODE_FILES, NODE_VERSION } from './node.ts';

export interface Program {
  service: OwnService;
  version(identity: string): string;
  /** `linux` where it runs on every architecture. */
  platform: string;
  commit?: string | undefined;
  folder: string;
  /** What of the folder, as globs; all of it without them. */
  include?: string[];
}

/** Named by its content, which may change when fleet's version does not: 0.1.0-4f2a9c1b0d3e. */
export const agentProgram = (folder: string, commit?: string): Program => ({
  service: OWN.agent,
  version: (identity) => `${project.version}-${identity.slice(0, 12)}`,
  platform: 'linux',
  ...{ commit, folder },
});

export const nodeProgram = (folder: string, platform: Platform): Program => ({
  service: OWN.node,
  version: () => `${NODE_VERSION}-${platform}`,
  ...{ platform, folder, include: Object.keys(NODE_FILES[platform]) },
});

/** What neither builds nor runs anything: whoever is at its agent's place is started anew by the agent itself. */
const sealedOf = (service: OwnService) => ({ service, run: { supervisor: 'agent' } });

/** On the disk when this resolves. */
export async function packProgram(program: Program, into: string): Promise<Manifest> {
  const { service, platform, commit, folder, include = ['**'] } = program;
  await mkdir(join(into, service), { recursive: true });
  const out = join(into, service, `packing-${platform}`);
  const packed = await pack({
    ...{ dir: folder, service, version: 'packing', platform, out, sealed: sealedOf(service) },
    source: { kind: 'git', ref: project.version, commit },
    // gzip: by hand, on hosts that have nothing yet.
    ...{ root: '.', include, exclude: [], compression: 'gzip' },
  });
  const manifest = { ...packed, version: program.version(packed.identity) };
  const at = join(into, service, manifest.version);
  await rename(out, `${at}.tar.gz`);
  await writeFile(`${at}.manifest.json`, encodeManifest(manifest));
  return manifest;
}

/** What an earlier run has packed of the very same files: compressing Node takes most of the time. `files`: sha256 by path. */
export async function packedBefore(
  { service, version }: Program,
  files: Record<string, string>,
  into: string,
): Promise<Manifest | undefined> {
  const at = join(into, service, version(''));
  try {
    const manifest = decodeManifest(await readFile(`${at}.manifest.json`));
    const same =
      manifest.files.every((file) => file.type !== 'file' || files[file.path] === file.sha256) &&
      manifest.files.filter(({ type }) => type === 'file').length === Object.keys(files).length &&
      canonicalJson(manifest.sealed) === canonicalJson(sealedOf(service)) &&
      (await stat(`${at}.tar.gz`)).size === manifest.artifact.size;
    return same ? manifest : undefined;
  } catch {
    return undefined;
  }
}
