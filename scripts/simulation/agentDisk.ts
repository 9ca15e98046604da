/** A simulated disk as one life of an agent has it: by the calls of node:fs/promises, each of which may be its last or fail. */
import { join } from 'node:path';
import type { Disk, OpenFile } from '@fleet/agent/disk/disk.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Random } from '../random/random.ts';
import type { SimulatedClock } from './clock.ts';
import { errno, type File, type Node, type SimulatedDisk } from './disk.ts';
import type { Life } from './life.ts';
import { differenceOf, readArtifact, unpackActs } from './trees.ts';

/** How a disk is unwell. */
export interface Illness {
  /** Nothing can be written. */
  full: boolean;
  /** The number of calls until one fails. */
  failsIn: number;
}

interface Parts {
  disk: SimulatedDisk;
  illness: Illness;
  life: Life;
  clock: SimulatedClock;
  random: Random;
  /** Something was put over the name of something else. */
  onRename(to: string): void;
  onFault(kind: 'disk full' | 'disk error'): void;
}

const SIZE = { bsize: 4096, blocks: 1_000_000 };
/** Milliseconds that a sync takes, now and then. */
const SLOW_SYNC = 40;
type Act = 'read' | 'write' | 'sync';

export function diskOf({ disk, illness, life, clock, random, onRename, onFault }: Parts): Disk {
  function suffer(act: Act, path: string): void {
    if (--illness.failsIn === 0) {
      onFault('disk error');
      throw errno('EIO', path);
    }
    if (act !== 'write' || !illness.full) return;
    onFault('disk full');
    throw errno('ENOSPC', path);
  }
  const act = <T>(kind: Act, path: string, work: () => T): Promise<T> =>
    life.act(() => {
      suffer(kind, path);
      return work();
    });
  const sync = (node: Node, path: string): Promise<void> =>
    life.act(async () => {
      suffer('sync', path);
      if (random.chance(0.02)) await clock.sleep(random.between(1, SLOW_SYNC));
      if (!life.over) disk.sync(node);
    });

  function opened(node: Node, path: string): OpenFile {
    const file = (): File => {
      if (node.kind !== 'file') throw errno('EISDIR', path);
      return node;
    };
    return {
      stat: () => act('read', path, () => ({ size: file().content.length })),
      write: (bytes, from, length, position) =>
        act('write', path, () => {
          // Part of it, now and then, as a real disk that fills up does.
          const bytesWritten = length > 1 && random.chance(0.02) ? length >> 1 : length;
          const { content } = file();
          const next = Buffer.alloc(Math.max(content.length, position + bytesWritten));
          content.copy(next);
          bytes.copy(next, position, from, from + bytesWritten);
          disk.write(file(), next);
          return { bytesWritten };
        }),
      writeFile: (content) => act('write', path, () => disk.write(file(), Buffer.from(content))),
      truncate: (size) => act('write', path, () => disk.write(file(), file().content.subarray(0, size))),
      async *createReadStream({ start, end }) {
        yield await act('read', path, () => file().content.subarray(start, end + 1));
      },
      sync: () => sync(node, path),
      close: () => life.act(() => {}),
    };
  }

  function removeTree(path: string): void {
    const node = disk.seek(path);
    if (node?.kind === 'folder') for (const name of [...node.entries.keys()]) removeTree(join(path, name));
    if (node !== undefined) disk.remove(path);
  }

  function copyTree(from: string, to: string): void {
    const node = disk.find(from);
    if (node.kind === 'link') disk.makeLink(node.target, to);
    if (node.kind === 'file') disk.write(disk.makeFile(to, node.mode), node.content);
    if (node.kind !== 'folder') return;
    disk.makeFolders(to);
    for (const name of node.entries.keys()) copyTree(join(from, name), join(to, name));
  }

  function readFile(path: string): Promise<Buffer>;
  function readFile(path: string, encoding: 'utf8'): Promise<string>;
  function readFile(path: string, encoding?: 'utf8'): Promise<Buffer | string> {
    return act('read', path, () => {
      const { content } = disk.file(path);
      return encoding === undefined ? content : content.toString(encoding);
    });
  }
  function readdir(path: string): Promise<string[]>;
  function readdir(
    path: string,
    options: { withFileTypes: true },
  ): Promise<Array<{ name: string; isDirectory(): boolean }>>;
  function readdir(path: string, options?: { withFileTypes: true }) {
    return act('read', path, () =>
      [...disk.folder(path).entries].map(([name, { kind }]) =>
        options === undefined ? name : { name, isDirectory: () => kind === 'folder' },
      ),
    ) as Promise<string[]> & Promise<Array<{ name: string; isDirectory(): boolean }>>;
  }
  const stat = (path: string) =>
    act('read', path, () => {
      const node = disk.find(path);
      return {
        size: node.kind === 'file' ? node.content.length : 0,
        mtimeMs: node.mtimeMs,
        uid: process.getuid?.() ?? 0,
        mode: node.kind === 'folder' ? 0o755 : 0o644,
        isDirectory: () => node.kind === 'folder',
        isSymbolicLink: () => node.kind === 'link',
      };
    });

  return {
    readFile,
    readdir,
    stat,
    lstat: stat,
    readlink: (path) =>
      act('read', path, () => {
        const node = disk.find(path);
        if (node.kind !== 'link') throw errno('EINVAL', path);
        return node.target;
      }),
    statfs: (path) => act('read', path, () => ({ ...SIZE, bavail: illness.full ? 0 : SIZE.blocks })),
    open: (path, flags, mode = 0o666) =>
      act(flags === 'wx' || flags === 'a' ? 'write' : 'read', path, () => {
        const there = disk.seek(path);
        if (there !== undefined && flags === 'wx') throw errno('EEXIST', path);
        if (there === undefined && flags !== 'wx' && flags !== 'a') throw errno('ENOENT', path);
        return opened(there ?? disk.makeFile(path, mode), path);
      }),
    mkdir: (path, { recursive } = {}) =>
      life.act(() => {
        const there = disk.seek(path) !== undefined;
        if (recursive !== true && there) throw errno('EEXIST', path);
        suffer(there ? 'read' : 'write', path);
        return disk.makeFolders(path);
      }),
    symlink: (target, path) => act('write', path, () => disk.makeLink(target, path)),
    chmod: () => life.act(() => {}),
    lchown: () => life.act(() => {}),
    rename: (from, to) =>
      act('sync', to, () => {
        disk.rename(from, to);
        onRename(to);
      }),
    rm: (path, { recursive, force } = {}) =>
      act('sync', path, () => {
        const node = disk.seek(path);
        if (node === undefined && force === true) return;
        if (recursive === true) removeTree(path);
        else disk.remove(path);
      }),
    cp: (from, to) => act('write', to, () => copyTree(from, to)),
    async unpack({ artifact, manifest, into }) {
      try {
        const contents = await act('read', artifact, () => readArtifact(disk.file(artifact), manifest));
        await act('write', into, () => disk.makeFolders(into));
        await life.act(() => clock.sleep(random.between(5, 200)));
        const acts = unpackActs(disk, contents, manifest, into);
        for (let next = acts.next(); !next.done; )
          next = await act(next.value, into, () => acts.next() as typeof next);
        const bytes = manifest.files.reduce((sum, each) => sum + (each.type === 'file' ? each.size : 0), 0);
        return { files: manifest.files.length, bytes };
      } catch (error) {
        await life.act(() => removeTree(into));
        if (error instanceof FleetError) throw error;
        const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
        throw new FleetError(full ? 'disk_full' : 'bad_archive', `cannot be unpacked: ${String(error)}`);
      }
    },
    verifyTree: ({ dir, manifest, stats = [], ignore = [] }) =>
      act('read', dir, () => {
        const stamps = new Map(stats);
        const at = disk.seek(dir);
        const difference = differenceOf(
          at?.kind === 'folder' ? at : undefined,
          manifest,
          ignore,
          (path, file) => stamps.get(path) === String(file.stamp),
        );
        if (difference !== undefined)
          throw new FleetError('drifted', `${dir} is not what its manifest says: ${difference}`);
      }),
    recordStats: (dir, { files }) =>
      act('read', dir, () =>
        files.flatMap(
          (entry): Array<[string, string]> =>
            entry.type === 'file' ? [[entry.path, String(disk.file(join(dir, entry.path)).stamp)]] : [],
        ),
      ),
  };
}
