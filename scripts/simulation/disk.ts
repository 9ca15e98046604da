/**
 * A disk in memory that forgets as real ones do. What was not synced may be gone after a power cut, or be there, or be there
 * in part: names in directories one by one, a rename as a whole, contents to any length.
 */
import { basename, dirname } from 'node:path';
import type { Random } from '../random/random.ts';

export interface File {
  kind: 'file';
  content: Buffer;
  /** What the last sync wrote down. */
  synced: Buffer;
  mode: number;
  mtimeMs: number;
  /** Another one after each change: what tells a file that was touched. */
  stamp: number;
}
export interface Folder {
  kind: 'folder';
  entries: Map<string, Node>;
  /** The names that a power cut leaves in any case. */
  synced: Map<string, Node>;
  mtimeMs: number;
}
export interface Link {
  kind: 'link';
  target: string;
  mtimeMs: number;
}
export type Node = File | Folder | Link;

/** A change of names that is not on the disk yet, in the order of the journal of its file system. */
interface Change {
  removes?: [Folder, string];
  adds?: [Folder, string, Node];
}

/** More changes than this are written back by the system itself. */
const WRITTEN_BACK = 60;
const NOTHING = Buffer.alloc(0);

export class SimulatedDisk {
  root: Folder = folder(0);
  #changes: Change[] = [];
  #stamps = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  find(path: string): Node {
    const found = this.seek(path);
    if (found === undefined) throw errno('ENOENT', path);
    return found;
  }

  seek(path: string): Node | undefined {
    let at: Node = this.root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      if (at.kind !== 'folder') throw errno(at.kind === 'link' ? 'ELOOP' : 'ENOTDIR', path);
      const next: Node | undefined = at.entries.get(name);
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  }

  folder(path: string): Folder {
    const found = this.find(path);
    if (found.kind !== 'folder') throw errno('ENOTDIR', path);
    return found;
  }

  file(path: string): File {
    const found = this.find(path);
    if (found.kind !== 'file') throw errno(found.kind === 'folder' ? 'EISDIR' : 'ELOOP', path);
    return found;
  }

  /** The topmost directory that was made. */
  makeFolders(path: string): string | undefined {
    const found = this.seek(path);
    if (found?.kind === 'folder') return undefined;
    if (found !== undefined) throw errno('EEXIST', path);
    const above = this.makeFolders(dirname(path));
    this.add(path, folder(this.#now()));
    return above ?? path;
  }

  makeFile(path: string, mode: number): File {
    const file: File = {
      kind: 'file',
      content: NOTHING,
      synced: NOTHING,
      mode,
      mtimeMs: this.#now(),
      stamp: ++this.#stamps,
    };
    this.add(path, file);
    return file;
  }

  makeLink(target: string, path: string): void {
    this.add(path, { kind: 'link', target, mtimeMs: this.#now() });
  }

  write(file: File, content: Buffer): void {
    file.content = content;
    file.mtimeMs = this.#now();
    file.stamp = ++this.#stamps;
  }

  add(path: string, node: Node): void {
    const parent = this.folder(dirname(path));
    const name = basename(path);
    if (parent.entries.has(name)) throw errno('EEXIST', path);
    parent.entries.set(name, node);
    this.#changed({ adds: [parent, name, node] });
  }

  rename(from: string, to: string): void {
    const [source, target] = [this.folder(dirname(from)), this.folder(dirname(to))];
    const node = this.find(from);
    const there = target.entries.get(basename(to));
    if (there === node) return;
    if (there?.kind === 'folder' && node.kind !== 'folder') throw errno('EISDIR', to);
    if (there !== undefined && there.kind !== 'folder' && node.kind === 'folder') throw errno('ENOTDIR', to);
    if (there?.kind === 'folder' && there.entries.size > 0) throw errno('ENOTEMPTY', to);
    source.entries.delete(basename(from));
    // Deleted first, so that the order of names is that of their making.
    target.entries.delete(basename(to));
    target.entries.set(basename(to), node);
    this.#changed({ removes: [source, basename(from)], adds: [target, basename(to), node] });
  }

  remove(path: string): void {
    const parent = this.folder(dirname(path));
    const name = basename(path);
    const node = parent.entries.get(name);
    if (node === undefined) throw errno('ENOENT', path);
    if (node.kind === 'folder' && node.entries.size > 0) throw errno('ENOTEMPTY', path);
    parent.entries.delete(name);
    this.#changed({ removes: [parent, name] });
  }

  sync(node: Node): void {
    if (node.kind === 'file') node.synced = node.content;
    if (node.kind === 'folder') this.#commit(node);
  }

  /** What a power cut leaves. */
  cutPower(random: Random): void {
    this.#keepSome(random);
    this.#changes = [];
    const files = new Set<File>();
    const forget = (at: Folder) => {
      at.entries = new Map(at.synced);
      for (const node of at.entries.values()) {
        if (node.kind === 'folder') forget(node);
        if (node.kind === 'file') files.add(node);
      }
    };
    forget(this.root);
    for (const file of files) {
      if (file.content !== file.synced) file.content = torn(file, random);
      file.synced = file.content;
    }
  }

  /** Some of the changes that nobody asked to be on the disk are there; one that needs a lost one is lost too. */
  #keepSome(random: Random): void {
    const probability = random.pick([0, 0.5, 0.9, 1]);
    const lost: Array<[Folder, string]> = [];
    for (const change of this.#changes) {
      const touched = [change.removes, change.adds].filter((each) => each !== undefined);
      const needsLost = touched.some(([at, name]) => lost.some((each) => each[0] === at && each[1] === name));
      if (!needsLost && random.chance(probability)) write(change);
      else for (const [at, name] of touched) lost.push([at, name]);
    }
  }

  /** All that changed names here, and what those changes follow from, is on the disk. */
  #commit(at: Folder): void {
    const touched = new Set([at]);
    const kept: Change[] = [];
    const committed: Change[] = [];
    for (const change of this.#changes.toReversed()) {
      const folders = [change.removes?.[0], change.adds?.[0]].filter((each) => each !== undefined);
      if (!folders.some((each) => touched.has(each))) {
        kept.push(change);
        continue;
      }
      for (const each of folders) touched.add(each);
      committed.push(change);
    }
    this.#changes = kept.reverse();
    for (const change of committed.reverse()) write(change);
  }

  #changed(change: Change): void {
    const now = this.#now();
    if (change.removes) change.removes[0].mtimeMs = now;
    if (change.adds) change.adds[0].mtimeMs = now;
    this.#changes.push(change);
    if (this.#changes.length > WRITTEN_BACK)
      for (const old of this.#changes.splice(0, WRITTEN_BACK / 2)) write(old);
  }
}

function write({ removes, adds }: Change): void {
  if (removes) removes[0].synced.delete(removes[1]);
  if (!adds) return;
  adds[0].synced.delete(adds[1]);
  adds[0].synced.set(adds[1], adds[2]);
}

/** Contents that were on their way to the disk. */
function torn({ content, synced }: File, random: Random): Buffer {
  switch (random.below(4)) {
    case 0:
      return synced;
    case 1:
      return content;
    case 2:
      return content.subarray(0, random.below(content.length + 1));
    default:
      return Buffer.alloc(content.length);
  }
}

function folder(now: number): Folder {
  return { kind: 'folder', entries: new Map(), synced: new Map(), mtimeMs: now };
}

export function errno(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
