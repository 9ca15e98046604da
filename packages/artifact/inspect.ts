/** A tree on the disk, beside what its manifest says. Reads names and stats, never content. */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from '@fleet/protocol/manifest.ts';

export type FileEntry = Extract<Entry, { type: 'file' }>;
/** Sees each file whose type, mode and size are right. Where its content counts, gives the work of reading it. */
export type Judge = (entry: FileEntry, stat: BigIntStats, full: string) => Reading | undefined;
/** Returns what is wrong with the content. */
export type Reading = Generator<void, string | undefined>;

export interface Difference {
  path: string;
  what: string;
}

/**
 * Returns what differs. `ignore` are the paths of shared links: where a link stands there, it and what the
 * manifest has below it are passed by. Yields often, for a caller that must not hold its thread for long.
 */
export function* inspectTree(
  dir: string,
  files: readonly Entry[],
  ignore: readonly string[],
  judge?: Judge,
): Generator<void, Difference[]> {
  const expected = new Map(files.map((entry) => [entry.path, entry]));
  const ignored = new Set(ignore);
  const differences: Difference[] = [];
  const folders = [''];
  for (let below = folders.pop(); below !== undefined; below = folders.pop()) {
    for (const item of readdirSync(join(dir, below), { withFileTypes: true })) {
      yield;
      const path = below === '' ? item.name : `${below}/${item.name}`;
      if (ignored.has(path) && item.isSymbolicLink()) {
        for (const entry of files) if (isAt(entry.path, path)) expected.delete(entry.path);
        continue;
      }
      const entry = expected.get(path);
      expected.delete(path);
      if (item.isDirectory()) folders.push(path);
      if (!entry) {
        const leadsToShared = item.isDirectory() && ignore.some((shared) => shared.startsWith(`${path}/`));
        if (!leadsToShared) differences.push({ path, what: 'not in the manifest' });
      } else {
        const what = yield* compare(join(dir, path), entry, judge);
        if (what) differences.push({ path, what });
      }
    }
  }
  for (const path of expected.keys()) differences.push({ path, what: 'missing' });
  return differences.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function isAt(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`);
}

function* compare(full: string, entry: Entry, judge?: Judge): Generator<void, string | undefined> {
  const stat = lstatSync(full, { bigint: true, throwIfNoEntry: false });
  if (!stat) return 'missing';
  switch (entry.type) {
    case 'directory':
      return stat.isDirectory() ? undefined : 'not a directory';
    case 'link':
      if (!stat.isSymbolicLink()) return 'not a link';
      return readlinkSync(full) === entry.target ? undefined : 'a link to something else';
    case 'file': {
      if (!stat.isFile()) return 'not a file';
      const mode = Number(stat.mode & 0o7777n);
      if (mode !== entry.mode) return `mode ${mode.toString(8)}, not ${entry.mode.toString(8)}`;
      if (stat.size !== BigInt(entry.size)) return `${stat.size} bytes, not ${entry.size}`;
      const reading = judge?.(entry, stat, full);
      return reading && (yield* reading);
    }
  }
}

const NAMED = 5;

/** The first of them, for people. */
export function describeDifferences(differences: readonly Difference[]): string {
  const named = differences.slice(0, NAMED).map(({ path, what }) => `${path}: ${what}`);
  if (differences.length > NAMED) named.push(`and ${differences.length - NAMED} more`);
  return named.join('; ');
}
