/**
 * Packs and unpacks a folder, and has tar do the same in the same run: `node packages/artifact/bench.ts DIR [WHERE]`.
 * Prints medians in milliseconds. DIR is not touched; everything is written to a directory of its own below WHERE (default:
 * the system's), which is removed. tar neither hashes nor syncs: unpacking is shown beside tar alone and tar followed by sync.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Compression } from '@fleet/protocol/manifest.ts';
import { pack } from './pack.ts';
import { unpack } from './unpack.ts';

const ROUNDS = 3;
const FLAGS = { zstd: '--zstd', gzip: '-z' };

/** Milliseconds, one a round. */
export interface Times {
  pack: number[];
  tarPack: number[];
  unpack: number[];
  tarUnpack: number[];
  /** tar, and then `sync -f`. */
  tarUnpackSync: number[];
}

/** `work` is a directory for what is written. */
export async function compareWithTar(
  dir: string,
  work: string,
  compression: Compression,
  rounds: number,
): Promise<Times> {
  const ours = join(work, `ours.${compression}`);
  const theirs = join(work, `theirs.${compression}`);
  const into = join(work, 'into');
  const times: Times = { pack: [], tarPack: [], unpack: [], tarUnpack: [], tarUnpackSync: [] };
  const packIt = () =>
    pack({
      ...{ dir, root: '.', include: ['**'], exclude: [], compression, out: ours },
      ...{
        service: 'bench',
        version: '1',
        sealed: {},
        platform: 'any',
        source: { kind: 'directory', ref: dir },
      },
    });
  let manifest = await packIt();
  for (let round = 0; round < rounds; round++) {
    times.pack.push(await timed(async () => (manifest = await packIt())));
    times.tarPack.push(await timed(() => run('tar', FLAGS[compression], '-cf', theirs, '-C', dir, '.')));
    times.unpack.push(await timed(() => unpack({ artifact: ours, manifest, into })));
    rmSync(into, { recursive: true });
    mkdirSync(into);
    const alone = await timed(() => run('tar', FLAGS[compression], '-xf', theirs, '-C', into));
    times.tarUnpack.push(alone);
    times.tarUnpackSync.push(alone + (await timed(() => run('sync', '-f', into))));
    rmSync(into, { recursive: true });
  }
  return times;
}

async function timed(work: () => unknown): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function run(program: string, ...argv: string[]): void {
  const { status, stderr } = spawnSync(program, argv, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')}: ${stderr}`);
}

function row(what: string, ours: number[], beside: string, theirs: number[]): void {
  const [a, b] = [median(ours), median(theirs)];
  const columns = [
    what.padEnd(14),
    `${a.toFixed(0)} ms`.padStart(9),
    beside.padEnd(9),
    `${b.toFixed(0)} ms`.padStart(9),
  ];
  console.log(`${columns.join('  ')}  ${(a / b).toFixed(2)} times`);
}

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

async function main([dir, where = tmpdir()]: string[]): Promise<void> {
  if (dir === undefined) {
    console.error('usage: node packages/artifact/bench.ts DIR [WHERE]');
    process.exitCode = 2;
    return;
  }
  enableCompileCache();
  const work = mkdtempSync(join(where, 'fleet-bench-'));
  try {
    for (const compression of ['zstd', 'gzip'] as const) {
      const times = await compareWithTar(resolve(dir), work, compression, ROUNDS);
      row(`pack ${compression}`, times.pack, 'tar', times.tarPack);
      row(`unpack ${compression}`, times.unpack, 'tar', times.tarUnpack);
      row(`unpack ${compression}`, times.unpack, 'tar, sync', times.tarUnpackSync);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) await main(process.argv.slice(2));
