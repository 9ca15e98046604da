/** Everything below a folder, in lines that change whenever something there does. */
import { createHash } from 'node:crypto';
import { type Dirent, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Found {
  path: string;
  /** What it is and when it was changed last: of a directory only what it is, because its entries tell the rest. */
  says: string;
}

/** `passes`: paths below `dir` that are left out, with everything in them. */
export function survey(dir: string, passes: (path: string) => boolean = () => false): Found[] {
  const found: Found[] = [];
  const folders = [''];
  for (let below = folders.pop(); below !== undefined; below = folders.pop())
    for (const item of entriesOf(join(dir, below))) {
      const path = below === '' ? item.name : `${below}/${item.name}`;
      if (passes(path)) continue;
      if (item.isDirectory()) folders.push(path);
      found.push({ path, says: describe(join(dir, path)) });
    }
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** What is there now and was not, what is gone, and what is different. */
export function changesBetween(before: readonly Found[], after: readonly Found[]): string[] {
  const was = new Map(before.map(({ path, says }) => [path, says]));
  const changes: string[] = [];
  for (const { path, says } of after) {
    const said = was.get(path);
    was.delete(path);
    if (said === undefined) changes.push(`${path} is new (${says})`);
    else if (said !== says) changes.push(`${path} was ${said}, and is ${says}`);
  }
  for (const path of was.keys()) changes.push(`${path} is gone`);
  return changes;
}

/** What no release may hold: special files, set bits, others' files, names with controls. */
export function oddities(dir: string): string[] {
  const mine = process.getuid?.();
  return survey(dir).flatMap(({ path }) => {
    const stat = lstatSync(join(dir, path));
    const plain = stat.isFile() || stat.isDirectory() || stat.isSymbolicLink();
    if (!plain) return [`${path} is a special file`];
    if (!stat.isSymbolicLink() && (stat.mode & 0o7022) !== 0)
      return [`${path} has mode ${stat.mode.toString(8)}`];
    if (stat.uid !== mine) return [`${path} belongs to user ${stat.uid}`];
    if (stat.isFile() && stat.nlink > 1) return [`${path} has ${stat.nlink} names`];
    return [];
  });
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // it has gone meanwhile
  }
}

function describe(full: string): string {
  const stat = lstatSync(full, { throwIfNoEntry: false });
  if (stat === undefined) return 'gone';
  const mode = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid}`;
  if (stat.isDirectory()) return `directory ${mode}`;
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(full)}`;
  if (!stat.isFile()) return `special ${mode}`;
  const digest = createHash('sha256').update(readFileSync(full)).digest('hex').slice(0, 16);
  return `file ${mode} ${stat.ino} ${stat.nlink} ${stat.size} ${stat.mtimeMs} ${digest}`;
}
