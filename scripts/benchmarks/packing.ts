/** Packing and unpacking a real tree, beside tar. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareWithTar } from '@fleet/artifact/bench.ts';
import { type Figure, ratios, type Section } from './figures.ts';
import { NODE_RED } from './nodeRed.ts';

const FLAGS = { zstd: 'tar --zstd', gzip: 'tar -z' };
const GOAL = 1.5;
/** A round takes ten seconds or more, most of it tar's, and gzip's is the slower one. */
const MOST = { zstd: 3, gzip: 2 };

export async function measurePacking(tree: string, rounds: number): Promise<Section> {
  const work = mkdtempSync(join(tmpdir(), 'fleet-packing-'));
  try {
    const figures: Figure[] = [];
    for (const compression of ['zstd', 'gzip'] as const) {
      const { pack, tarPack, unpack, tarUnpack, tarUnpackSync } = await compareWithTar(
        tree,
        work,
        compression,
        Math.min(rounds, MOST[compression]),
      );
      const tar = FLAGS[compression];
      figures.push(
        { what: `pack, ${compression}`, unit: 'ms', values: pack },
        { what: `pack / ${tar}`, unit: 'times', values: ratios(pack, tarPack), goal: GOAL },
        { what: `unpack, ${compression}`, unit: 'ms', values: unpack },
        { what: `unpack / ${tar}`, unit: 'times', values: ratios(unpack, tarUnpack), goal: GOAL },
        { what: `unpack / ${tar}, then sync`, unit: 'times', values: ratios(unpack, tarUnpackSync) },
      );
    }
    return {
      title: `Packing and unpacking Node-RED ${NODE_RED}, beside tar`,
      figures,
      notes: [
        'Packing hashes every file, and unpacking checks every hash and has the tree on the disk before it ends; tar alone does neither.',
      ],
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
