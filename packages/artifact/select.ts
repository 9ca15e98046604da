/** What a folder has to offer for a package: found, chosen and judged, but not yet read. */
import { type Dirent, readdirSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Entry } from '@fleet/protocol/manifest.ts';
import { findUnsafe } from './entries.ts';
import { compileGlobs, type Matches } from './globs.ts';

/** An entry of the manifest to be: of a file only the name is known until it is opened. */
export type Chosen = Exclude<Entry, { type: 'file' }> | { type: 'file'; path: string };

/** Sorted. Throws `source_failed` for what cannot be in a release. */
export function selectEntries(folder: string, include: string[], exclude: string[]): Chosen[] {
  const found = new Map<string, Chosen>();
  const included = compileGlobs(include);
  const excluded = compileGlobs(exclude);
  visit(folder, '', included(''), { included, excluded, found });
  const chosen = [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  if (chosen.length === 0)
    throw new FleetError('source_failed', `there is nothing to pack in ${folder}`, {
      next: 'look at package.root, include and exclude in fleet.yaml',
    });
  const unsafe = findUnsafe(chosen);
  if (unsafe) throw cannotPack(unsafe);
  return chosen;
}

interface Selection {
  included: Matches;
  excluded: Matches;
  found: Map<string, Chosen>;
}

/** `taken`: a directory above matched, and stands for everything in it. */
function visit(folder: string, below: string, taken: boolean, selection: Selection): void {
  for (const item of readdirSync(`${folder}/${below}`, { withFileTypes: true })) {
    const path = below === '' ? item.name : `${below}/${item.name}`;
    if (item.name === '.git' || selection.excluded(path)) continue;
    const take = taken || selection.included(path);
    if (take) add(describe(folder, path, item), selection.found);
    if (item.isDirectory()) visit(folder, path, take, selection);
  }
}

/** A chosen entry brings the directories above it. */
function add(entry: Chosen, found: Map<string, Chosen>): void {
  found.set(entry.path, entry);
  for (let up = posix.dirname(entry.path); up !== '.' && !found.has(up); up = posix.dirname(up))
    found.set(up, { type: 'directory', path: up });
}

function describe(folder: string, path: string, item: Dirent): Chosen {
  if (item.isFile()) return { type: 'file', path };
  if (item.isDirectory()) return { type: 'directory', path };
  if (item.isSymbolicLink()) return { type: 'link', path, target: readlinkSync(`${folder}/${path}`) };
  throw cannotPack(`${JSON.stringify(path)} is a ${kindOf(item)}`);
}

function kindOf(item: Dirent): string {
  if (item.isFIFO()) return 'named pipe';
  return item.isSocket() ? 'socket' : 'device';
}

export function cannotPack(why: string, cause?: unknown): FleetError {
  return new FleetError('source_failed', `cannot be packed: ${why}`, {
    next: 'remove or rename it, or name it under package.exclude in fleet.yaml',
    cause,
  });
}
