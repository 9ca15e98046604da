/** Everything in its order: the agent and Node as programs for hosts, then the bundles for the machines of people. */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { inThread } from '@fleet/artifact/inThread.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { KeyPair } from '@fleet/trust/keys.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import project from '../../package.json' with { type: 'json' };
import { addNode, agentFolder, cliFolder, controllerFolder } from './contents.ts';
import type { Platform } from './elf.ts';
import { NODE_FILES, nodeFor } from './node.ts';
import { agentProgram, nodeProgram, packedBefore, packProgram } from './programs.ts';

export interface Wanted {
  /** The folder that is written; what an earlier run left in it goes, but for what would come out the same. */
  dist: string;
  platforms: readonly Platform[];
  commit?: string | undefined;
  /** Signs the programs. */
  key?: KeyPair | undefined;
  now(): number;
  say(line: string): void;
}

/** What hosts get. Returns the folder. */
export async function bundlePrograms({ dist, platforms, commit, key, now, say }: Wanted): Promise<string> {
  const [programs, before] = [join(dist, 'programs'), join(dist, 'programs.before')];
  rmSync(before, { recursive: true, force: true });
  mkdirSync(programs, { recursive: true });
  renameSync(programs, before);
  const work = mkdtempSync(join(dist, 'work-'));
  try {
    await agentFolder(join(work, 'agent'));
    const made = [await packProgram(agentProgram(join(work, 'agent'), commit), programs)];
    for (const platform of platforms) {
      const program = nodeProgram(await nodeFor(platform, say), platform);
      const kept = await packedBefore(program, NODE_FILES[platform], before);
      if (kept !== undefined) keep(kept, before, programs);
      made.push(kept ?? (await packProgram(program, programs)));
    }
    for (const manifest of made) {
      const at = join(programs, manifest.service, manifest.version);
      say(`${sizeOf(`${at}.tar.gz`)}  ${at}.tar.gz`);
      if (key) sign(at, manifest, key, now());
    }
  } finally {
    for (const each of [work, before]) rmSync(each, { recursive: true, force: true });
  }
  return programs;
}

function keep({ service, version }: Manifest, before: string, programs: string): void {
  mkdirSync(join(programs, service), { recursive: true });
  for (const ending of ['tar.gz', 'manifest.json']) {
    const path = join(service, `${version}.${ending}`);
    renameSync(join(before, path), join(programs, path));
  }
}

/** Beside it, where the controller looks when it has no release key itself. */
function sign(at: string, { service, version }: Manifest, key: KeyPair, signedAt: number): void {
  const manifest = digestOf(readFileSync(`${at}.manifest.json`));
  const signed = signStatement({ kind: 'release', service, version, manifest, signedAt }, key);
  writeFileSync(`${at}.signature.json`, `${JSON.stringify(signed)}\n`);
}

/** What people unpack on their machines and on the controller's, with Node in it. */
export async function bundleAll(wanted: Wanted): Promise<void> {
  const { dist, platforms, say } = wanted;
  const programs = await bundlePrograms(wanted);
  for (const name of readdirSync(dist)) if (name.endsWith('.tar.gz')) rmSync(join(dist, name));
  const fill = {
    cli: cliFolder,
    controller: (into: string, platform: Platform) => controllerFolder(into, platform, programs),
  };
  for (const platform of platforms)
    for (const [kind, folder] of Object.entries(fill)) {
      const work = mkdtempSync(join(dist, 'work-'));
      try {
        const name = `fleet-${kind}-${project.version}-${platform}`;
        await folder(join(work, name), platform);
        addNode(join(work, name), platform, await nodeFor(platform, say));
        const out = join(dist, `${name}.tar.gz`);
        await tarball(work, out);
        say(`${sizeOf(out)}  ${out}`);
      } finally {
        rmSync(work, { recursive: true, force: true });
      }
    }
}

/** The same bytes for the same files, as a release is packed. */
export async function tarball(folder: string, out: string): Promise<void> {
  await inThread('pack', { folder, include: ['**'], exclude: [], compression: 'gzip', out });
}

/** Of every tarball, in the form that sha256sum checks. */
export async function sumsOf(dist: string): Promise<string> {
  const names = readdirSync(dist, { recursive: true, encoding: 'utf8' });
  const lines = names
    .filter((name) => name.endsWith('.tar.gz'))
    .sort()
    .map(async (name) => {
      const hash = createHash('sha256');
      await pipeline(createReadStream(join(dist, name)), hash);
      return `${hash.digest('hex')}  ${name}\n`;
    });
  return (await Promise.all(lines)).join('');
}

function sizeOf(path: string): string {
  return `${(statSync(path).size / 1e6).toFixed(2).padStart(7)} MB`;
}
