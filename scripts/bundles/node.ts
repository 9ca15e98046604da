/** Node's own binary, as its makers built it: known by a digest that stands here, wherever it comes from. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ROOT } from './code.ts';
import type { Platform } from './elf.ts';

/** The same as in scripts/node24.sh. */
export const NODE_VERSION = '24.21.0';
/** sha256 of what is taken from the package `node-PLATFORM` of that version. */
const LICENSE = '5888dbb9a1d2b18f2c3e6c5f6af1b39de658372b402a0577b002777f14c62ace';
export const NODE_FILES: Record<Platform, Record<string, string>> = {
  'linux-x64': {
    'bin/node': '7fde7b8afa198da66257f42ee2001d874c7355631e6d1579a5fb5ef1f246df4c',
    LICENSE,
  },
  'linux-arm64': {
    'bin/node': '0f8949d1028f6d61506b2d5bc57e7e6fe893d7b1997509b7847294fc9c616584',
    LICENSE,
  },
};
const TOOLCHAIN = join(ROOT, '.toolchain');

/** A folder that holds `bin/node` and its licence. Fetched from npm once, and kept; looked at each time. */
export async function nodeFor(platform: Platform, say: (line: string) => void): Promise<string> {
  const name = `node-${platform}`;
  const kept = join(TOOLCHAIN, 'node', `${NODE_VERSION}-${platform}`);
  // What runs the tests may be it already.
  for (const folder of [kept, join(TOOLCHAIN, 'node_modules', name)])
    if (existsSync(folder) && (await faultOf(folder, platform)) === undefined) return folder;
  say(`fetching ${name} ${NODE_VERSION} from npm into .toolchain`);
  mkdirSync(join(TOOLCHAIN, 'node'), { recursive: true });
  const dir = mkdtempSync(join(TOOLCHAIN, 'node', 'fetching-'));
  try {
    const options = { cwd: dir, encoding: 'utf8' } as const;
    // Packed, not installed: npm refuses to install what is for another machine.
    const [tarball = ''] = execFileSync(
      'npm',
      ['pack', '--silent', `${name}@${NODE_VERSION}`],
      options,
    ).split('\n');
    const paths = Object.keys(NODE_FILES[platform]).map((path) => `package/${path}`);
    execFileSync('tar', ['-xzf', tarball, ...paths], options);
    const fault = await faultOf(join(dir, 'package'), platform);
    if (fault !== undefined) throw new Error(`${name} ${NODE_VERSION}: ${fault}`);
    rmSync(kept, { recursive: true, force: true });
    renameSync(join(dir, 'package'), kept);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return kept;
}

/** What in a folder is not as it is known here. */
export async function faultOf(folder: string, platform: Platform): Promise<string | undefined> {
  for (const [path, digest] of Object.entries(NODE_FILES[platform])) {
    const hash = createHash('sha256');
    const file = join(folder, path);
    if (!existsSync(file)) return `it has no ${path}`;
    await pipeline(createReadStream(file), hash);
    if (hash.digest('hex') !== digest) return `its ${path} is not the one that is known here`;
  }
  return undefined;
}
