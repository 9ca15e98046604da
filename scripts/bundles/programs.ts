/** Fleet's own programs as releases: a folder becomes `INTO/SERVICE/VERSION.tar.gz` and its manifest, as the controller registers them. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { pack } from '@fleet/artifact/pack.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { OwnService } from '@fleet/protocol/words.ts';

export interface ProgramFolder {
  service: OwnService;
  /** By its content where the program has no better name for itself: 0.1.0-4f2a9c1b0d3e. */
  version(identity: string): string;
  /** `linux` where it runs on every architecture. */
  platform: string;
  /** What it was made from, as the manifest says it. */
  ref: string;
  commit?: string | undefined;
  folder: string;
}

export async function packProgram(program: ProgramFolder, into: string): Promise<Manifest> {
  const { service, platform, ref, commit, folder } = program;
  await mkdir(join(into, service), { recursive: true });
  const out = join(into, service, 'packing');
  const packed = await pack({
    ...{ dir: folder, service, version: 'packing', platform, out },
    sealed: sealedOf(service),
    source: { kind: 'git', ref, commit },
    // By hand with gzip and tar, on hosts that have nothing yet.
    ...{ root: '.', include: ['**'], exclude: [], compression: 'gzip' },
  });
  const manifest = { ...packed, version: program.version(packed.identity) };
  const at = join(into, service, manifest.version);
  await rename(out, `${at}.tar.gz`);
  await writeFile(`${at}.manifest.json`, encodeManifest(manifest));
  return manifest;
}

/** What stands in it is started by no fleet.yaml: the agent is a unit of the host's own, and Node is what the agent runs on. */
function sealedOf(service: OwnService): object {
  const command = service === 'fleet-agent' ? ['agent.js', '--version'] : ['bin/node', '--version'];
  return { service, run: { supervisor: 'process', command } };
}
