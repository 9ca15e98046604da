/** For tests: a tree worth packing, and the options to pack it with. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PackOptions } from './pack.ts';

/** A tree with every kind of thing that a release may hold. */
export function plant(dir: string): void {
  for (const path of ['bin', 'lib/deep', 'empty', '.hidden', '.git/objects', 'node_modules/.bin'])
    mkdirSync(join(dir, path), { recursive: true });
  writeFileSync(join(dir, 'bin/serve'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(dir, 'lib/deep/data'), Buffer.alloc(3_000_000, 'some data, '));
  writeFileSync(join(dir, 'lib/größe'), 'ü');
  writeFileSync(join(dir, 'lib/nothing'), '');
  writeFileSync(join(dir, 'lib-beside'), 'sorts between lib and lib/');
  writeFileSync(join(dir, '.hidden/.env.example'), 'A=1');
  writeFileSync(join(dir, '.git/HEAD'), 'ref: main');
  symlinkSync('../../bin/serve', join(dir, 'node_modules/.bin/serve'));
  symlinkSync('lib', join(dir, 'lib64'));
  const long = join(dir, 'x'.repeat(120), 'y'.repeat(120), 'é'.repeat(60));
  mkdirSync(long, { recursive: true });
  writeFileSync(join(long, 'z'.repeat(99)), 'far down');
  symlinkSync('t'.repeat(150), join(dir, 'far-link'));
}

export function optionsFor(dir: string, out: string): PackOptions {
  return {
    ...{ dir, out, service: 'segmenter', version: '1.0.0', sealed: { service: 'segmenter' }, root: '.' },
    ...{ source: { kind: 'directory', ref: 'here' }, platform: 'linux-x64', compression: 'zstd' },
    ...{ include: ['**'], exclude: [] },
  };
}
