/**
 * Whole releases on a simulated disk: what unpack, verifyTree and recordStats do with a real one, step by step, so that it can
 * be interrupted between any two.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { File, Folder, SimulatedDisk } from './disk.ts';

/** An artifact, as simulated ones are: JSON of its files' contents by path. */
export type Contents = Record<string, string>;

const digests = new WeakMap<Buffer, string>();
export function digestOf(content: Buffer): string {
  const known = digests.get(content);
  if (known !== undefined) return known;
  const digest = createHash('sha256').update(content).digest('hex');
  digests.set(content, digest);
  return digest;
}

/** The files of an artifact that is whole. Throws `bad_archive`. */
export function readArtifact(artifact: File, { artifact: { sha256 }, service, version }: Manifest): Contents {
  if (digestOf(artifact.content) === sha256) return JSON.parse(artifact.content.toString()) as Contents;
  throw new FleetError('bad_archive', `${service} ${version}: the digest is not the one in the manifest`);
}

/** Where the tree below `at` differs from the manifest first; undefined where it does not. Links of `ignore` are passed by. */
export function differenceOf(
  at: Folder | undefined,
  manifest: Manifest,
  ignore: readonly string[],
  trusted: (path: string, file: File) => boolean = () => false,
): string | undefined {
  if (at === undefined) return 'it is not there';
  const found = new Map<string, File>();
  const strange = collect(at, '', ignore, found);
  if (strange !== undefined) return strange;
  for (const entry of manifest.files) {
    if (entry.type !== 'file') continue;
    const file = found.get(entry.path);
    if (!found.delete(entry.path) || file === undefined) {
      if (ignore.some((path) => entry.path.startsWith(`${path}/`))) continue;
      return `${entry.path}: missing`;
    }
    if (file.mode !== entry.mode) return `${entry.path}: mode ${file.mode.toString(8)}`;
    if (file.content.length !== entry.size) return `${entry.path}: ${file.content.length} bytes`;
    if (!trusted(entry.path, file) && digestOf(file.content) !== entry.sha256)
      return `${entry.path}: other content`;
  }
  const [more] = found.keys();
  return more === undefined ? undefined : `${more}: not in the manifest`;
}

function collect(
  at: Folder,
  below: string,
  ignore: readonly string[],
  found: Map<string, File>,
): string | undefined {
  for (const [name, node] of at.entries) {
    const path = below === '' ? name : `${below}/${name}`;
    if (node.kind === 'file') found.set(path, node);
    else if (node.kind === 'folder') {
      const strange = collect(node, path, ignore, found);
      if (strange !== undefined) return strange;
    } else if (!ignore.includes(path)) return `${path}: a link that is not in the manifest`;
  }
  return undefined;
}

/** The acts of unpacking, in order; the caller decides what happens between them. */
export function* unpackActs(
  disk: SimulatedDisk,
  contents: Contents,
  manifest: Manifest,
  into: string,
): Generator<'write' | 'sync'> {
  const files: File[] = [];
  for (const entry of manifest.files) {
    yield 'write';
    const path = join(into, entry.path);
    if (entry.type === 'directory') disk.makeFolders(path);
    if (entry.type !== 'file') continue;
    disk.makeFolders(dirname(path));
    const file = disk.makeFile(path, entry.mode);
    disk.write(file, Buffer.from(contents[entry.path] ?? ''));
    files.push(file);
  }
  for (const file of files) {
    yield 'sync';
    disk.sync(file);
  }
  yield 'sync';
  for (const at of foldersBelow(disk.folder(into))) disk.sync(at);
}

function foldersBelow(at: Folder): Folder[] {
  const below = [...at.entries.values()].filter((node) => node.kind === 'folder');
  return [...below.flatMap(foldersBelow), at];
}
