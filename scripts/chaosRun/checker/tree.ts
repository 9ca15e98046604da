/**
 * A release on a disk beside its manifest: an own reading of what a manifest means, for that of the product is what is
 * being checked.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

type Entry =
  | { type: 'file'; path: string; mode: number; size: number; sha256: string }
  | { type: 'directory'; path: string }
  | { type: 'link'; path: string; target: string };

export interface Manifest {
  version: string;
  identity: string;
  files: Entry[];
  sealed: { shared?: string[] };
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}

/** sha256 of `{"files":...,"sealed":...}` with keys sorted at every depth and no space between. */
export function identityOf({ files, sealed }: Manifest): string {
  return createHash('sha256').update(inOrder({ files, sealed })).digest('hex');
}

function inOrder(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inOrder).join()}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const pairs = Object.entries(value).filter(([, inner]) => inner !== undefined);
  pairs.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${pairs.map(([key, inner]) => `${JSON.stringify(key)}:${inOrder(inner)}`).join()}}`;
}

/** What differs, as phrases that name the path. Paths that are linked into shared/ are the service's own. */
export function differences(directory: string, manifest: Manifest): string[] {
  const shared = (manifest.sealed.shared ?? []).map((path) => path.replace(/^\.\//, '').replace(/\/+$/, ''));
  const isShared = (path: string) => shared.some((each) => path === each || path.startsWith(`${each}/`));
  const leadsToShared = (path: string) => shared.some((each) => each.startsWith(`${path}/`));
  const found: string[] = [];
  const expected = new Map(manifest.files.map((entry) => [entry.path, entry]));
  for (const path of pathsBelow(directory)) {
    const entry = expected.get(path);
    expected.delete(path);
    if (isShared(path)) continue;
    const wrong = entry ? faultOf(join(directory, path), entry) : 'is not in the manifest';
    if (wrong !== null && !(entry === undefined && leadsToShared(path))) found.push(`${path} ${wrong}`);
  }
  for (const path of expected.keys()) if (!isShared(path)) found.push(`${path} is missing`);
  return found;
}

/** Every name below a folder, links not followed. */
export function pathsBelow(directory: string, below = ''): string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap((item) => {
    const path = below === '' ? item.name : `${below}/${item.name}`;
    return item.isDirectory() ? [path, ...pathsBelow(directory, path)] : [path];
  });
}

function faultOf(full: string, entry: Entry): string | null {
  const stat = lstatSync(full);
  if (entry.type === 'directory') return stat.isDirectory() ? null : 'is no directory';
  if (entry.type === 'link') {
    if (!stat.isSymbolicLink()) return 'is no link';
    const target = readlinkSync(full);
    return target === entry.target ? null : `leads to ${target}, not to ${entry.target}`;
  }
  if (!stat.isFile()) return 'is no file';
  if ((stat.mode & 0o7777) !== entry.mode)
    return `has mode ${(stat.mode & 0o7777).toString(8)}, not ${entry.mode.toString(8)}`;
  if (stat.size !== entry.size) return `has ${stat.size} bytes, not ${entry.size}`;
  const sha256 = createHash('sha256').update(readFileSync(full)).digest('hex');
  return sha256 === entry.sha256 ? null : 'has other content';
}
