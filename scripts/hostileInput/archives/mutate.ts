/** Hostile archives by the thousand: good and known bad ones, changed by chance in their blocks, their compression or their manifest. */
import { createHash } from 'node:crypto';
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  block,
  content,
  directory,
  file,
  link,
  pax,
  tar,
  type as typeOf,
  whole,
} from '@fleet/artifact/blocks.fixture.ts';
import { BY_ARCHIVE, BY_MANIFEST, makeArtifact } from '@fleet/artifact/hostile.fixture.ts';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import type { Compression, Entry } from '@fleet/protocol/manifest.ts';
import type { Random } from '../../random/random.ts';
import { SEALED, SERVICE } from '../agentProgram.ts';
import { badName } from '../names/badNames.ts';
import type { HostileRelease } from './trial.ts';

const BLOCK = 512;
/** More than any manifest here names: what must never reach the disk. */
const BOMB = 4_000_000;

interface Source {
  tar: Buffer;
  files: Entry[];
}
/** Good trees of several forms, whose archives are spliced with one another and with those that are known to be bad. */
const TREES: Entry[][] = [
  [file('a'), directory('d'), file('d/f'), link('l', 'd/f'), file('z', Buffer.from('hello\n'), 0o755)],
  [
    file(`${'n'.repeat(90)}`),
    directory('p'.repeat(60)),
    file(`${'p'.repeat(60)}/${'q'.repeat(120)}`),
    link('x', 'p/'.repeat(80)),
  ],
  [
    file('b', Buffer.alloc(3000, 'b')),
    directory('e'),
    directory('e/e'),
    file('e/e/\u00e9\u00df'),
    link('e/l', '../b'),
  ],
];
const GOOD: Source[] = TREES.map((files) => ({ files, tar: tar(...files.map(wholeOf)) }));
const BAD: Source[] = [...BY_ARCHIVE, ...BY_MANIFEST]
  .filter(({ raw, tar }) => raw !== true && tar.length < 100_000)
  .map(({ tar, files }) => ({ tar, files: files ?? TREES[0]! }));

function wholeOf(entry: Entry): Buffer {
  return whole(entry, entry.type === 'file' && entry.size === 3000 ? Buffer.alloc(3000, 'b') : undefined);
}

export function mutant(random: Random, version: string): HostileRelease {
  const source = random.chance(0.7) ? random.pick(GOOD) : random.pick(BAD);
  const compression: Compression = random.chance(0.5) ? 'zstd' : 'gzip';
  const changes: string[] = [];
  const change = <T>(value: T, ways: Readonly<Record<string, (value: T) => T>>): T => {
    const way = random.pick(Object.keys(ways));
    changes.push(way);
    return ways[way]!(value);
  };

  let archive = source.tar;
  const where = random.weighted({ blocks: 6, compressed: 3, manifest: 3, both: 2 });
  if (where === 'blocks' || where === 'both')
    for (let left = 1 + random.below(3); left > 0; left--) archive = change(archive, ofBlocks(random));
  let bytes: Buffer = compression === 'zstd' ? zstdCompressSync(archive) : gzipSync(archive);
  if (where === 'compressed') bytes = change(bytes, ofCompressed(random));
  let files = source.files;
  if (where === 'manifest' || where === 'both') files = change(files, ofEntries(random));

  const named = { service: SERVICE, version, sealed: SEALED };
  const { manifest } = makeArtifact({ tar: bytes, raw: true, files, compression }, named);
  const release = { name: `${where}: ${changes.join(', ')}`, manifest, artifact: bytes };
  // Most are liars, whose manifest fits: only so does anybody come to read the archive.
  if (!random.chance(0.1)) return release;
  const fault = change(encodeManifest(manifest), ofBytes(random));
  return { ...release, name: `manifest’s bytes: ${changes.join(', ')}`, manifestBytes: fault };
}

type Ways<T> = Record<string, (value: T) => T>;

function ofBytes(random: Random): Ways<Buffer> {
  const at = (bytes: Buffer) => random.below(Math.max(1, bytes.length));
  return {
    'a bit flipped': (bytes) => edited(bytes, (copy) => flip(copy, at(copy), 1 << random.below(8))),
    'some bits flipped': (bytes) =>
      edited(bytes, (copy) => {
        for (let left = 2 + random.below(10); left > 0; left--) flip(copy, at(copy), 1 + random.below(255));
      }),
    'cut short': (bytes) => bytes.subarray(0, at(bytes)),
    'begun late': (bytes) => bytes.subarray(at(bytes)),
    'bytes put in': (bytes) => {
      const place = at(bytes);
      return Buffer.concat([
        bytes.subarray(0, place),
        noise(random, 1 + random.below(700)),
        bytes.subarray(place),
      ]);
    },
    'bytes taken out': (bytes) => {
      const place = at(bytes);
      return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1 + random.below(600))]);
    },
    'more at the end': (bytes) => Buffer.concat([bytes, noise(random, 1 + random.below(2000))]),
  };
}

function ofBlocks(random: Random): Ways<Buffer> {
  const place = (bytes: Buffer) => random.below(1 + Math.floor(bytes.length / BLOCK)) * BLOCK;
  const insert = (bytes: Buffer, piece: Buffer) => {
    const at = place(bytes);
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
  };
  const name = () => badName(random);
  return {
    ...ofBytes(random),
    'a block twice': (bytes) => insert(bytes, bytes.subarray(place(bytes)).subarray(0, BLOCK)),
    'a block taken out': (bytes) => {
      const at = place(bytes);
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + BLOCK)]);
    },
    'blocks exchanged': (bytes) =>
      edited(bytes, (copy) => {
        const [one, other] = [place(copy), place(copy)];
        const held = Buffer.from(copy.subarray(one, one + BLOCK));
        copy.copy(copy, one, other, other + BLOCK);
        held.copy(copy, other);
      }),
    'spliced with another': (bytes) => {
      const { tar } = random.pick([...GOOD, ...BAD]);
      return Buffer.concat([bytes.subarray(0, place(bytes)), tar.subarray(place(tar))]);
    },
    'a field changed, the checksum right': (bytes) => fieldChanged(bytes, random, place(bytes), name, true),
    'a field changed, the checksum wrong': (bytes) => fieldChanged(bytes, random, place(bytes), name, false),
    'a PAX header': (bytes) =>
      insert(
        bytes,
        pax(
          { path: name(), ...(random.chance(0.5) ? { size: random.below(9000) } : { linkpath: name() }) },
          random.chance(0.3),
        ),
      ),
    'a GNU long name': (bytes) =>
      insert(bytes, longName(random.pick(['L', 'K', 'N']), Buffer.from(`${name()}\0`))),
    'a link, and a file through it': (bytes) =>
      insert(
        bytes,
        Buffer.concat([
          whole(link('s', random.pick(['/tmp', '..', '../../beside', '.']))),
          whole(file('s/x')),
        ]),
      ),
    'an entry of some type': (bytes) =>
      insert(
        bytes,
        Buffer.concat([
          block(
            { path: name().slice(0, 90), size: 6, mode: random.below(0o10000) },
            typeOf(String.fromCharCode(random.below(256))),
          ),
          content(),
        ]),
      ),
    'a bomb': (bytes) => insert(bytes, Buffer.alloc(BOMB)),
  };
}

function longName(kind: string, text: Buffer): Buffer {
  return Buffer.concat([block({ path: '././@LongLink', size: text.length }, typeOf(kind)), content(text)]);
}

/** Name, mode, owner, group, size, time, checksum, type, link, magic, user, group, devices, prefix: [begin, length]. */
const FIELDS: ReadonlyArray<[number, number]> = [
  [0, 100],
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [136, 12],
  [148, 8],
  [156, 1],
  [157, 100],
  [257, 8],
  [265, 32],
  [297, 32],
  [329, 16],
  [345, 155],
];

function fieldChanged(bytes: Buffer, random: Random, at: number, name: () => string, mend: boolean): Buffer {
  return edited(bytes, (copy) => {
    const header = copy.subarray(at, at + BLOCK);
    if (header.length < BLOCK) return;
    const [begin, length] = random.pick(FIELDS);
    const value = random.pick([
      () => Buffer.from(name()),
      () => noise(random, length),
      () => Buffer.alloc(length, 0xff),
      () => Buffer.alloc(length, '7'),
      () =>
        Buffer.from(
          random
            .below(2 ** 31)
            .toString(8)
            .padStart(length - 1, '0'),
        ),
      () => Buffer.alloc(length),
    ])();
    header.fill(0, begin, begin + length);
    value.copy(header, begin, 0, length);
    if (!mend) return;
    header.fill(' ', 148, 156);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
  });
}

function ofCompressed(random: Random): Ways<Buffer> {
  const other = () => random.pick(GOOD).tar;
  return {
    ...ofBytes(random),
    'a gzip member behind': (bytes) => Buffer.concat([bytes, gzipSync(other())]),
    'a zstd frame behind': (bytes) => Buffer.concat([bytes, zstdCompressSync(other())]),
    'a skippable frame before': (bytes) => Buffer.concat([skippable(random), bytes]),
    'a skippable frame behind': (bytes) => Buffer.concat([bytes, skippable(random)]),
    'an empty frame before': (bytes) => Buffer.concat([zstdCompressSync(Buffer.alloc(0)), bytes]),
    'split in two frames': (bytes) => {
      const archive = plain(bytes);
      const at = random.below(archive.length + 1);
      const compress = bytes[0] === 0x1f ? gzipSync : zstdCompressSync;
      return Buffer.concat([compress(archive.subarray(0, at)), compress(archive.subarray(at))]);
    },
    'a window of 128 MiB': (bytes) =>
      zstdCompressSync(plain(bytes), {
        params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_compressionLevel]: 1 },
      }),
    'a checksum': (bytes) =>
      zstdCompressSync(plain(bytes), { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
    'compressed twice': (bytes) => (random.chance(0.5) ? gzipSync(bytes) : zstdCompressSync(bytes)),
    'a bomb behind': (bytes) => {
      const bomb = Buffer.concat([plain(bytes), Buffer.alloc(BOMB)]);
      return bytes[0] === 0x1f ? gzipSync(bomb) : zstdCompressSync(bomb);
    },
    'the other compression': (bytes) =>
      bytes[0] === 0x1f ? zstdCompressSync(plain(bytes)) : gzipSync(plain(bytes)),
    'a file name in the gzip header': (bytes) => {
      const zipped = gzipSync(plain(bytes));
      zipped[3] = 8;
      return Buffer.concat([zipped.subarray(0, 10), Buffer.from('../../../beside/a\0'), zipped.subarray(10)]);
    },
  };
}

function plain(bytes: Buffer): Buffer {
  return bytes[0] === 0x1f ? gunzipSync(bytes) : zstdDecompressSync(bytes);
}

function skippable(random: Random): Buffer {
  const payload = noise(random, random.below(300));
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a50 + random.below(16), 0);
  head.writeUInt32LE(random.chance(0.2) ? 0x7fffffff : payload.length, 4);
  return Buffer.concat([head, payload]);
}

/** The manifest’s entries; its identity is made to fit. */
function ofEntries(random: Random): Ways<Entry[]> {
  const one = (files: Entry[], change: (entry: Entry) => object) => {
    const at = random.below(files.length);
    return files.map((entry, place) => (place === at ? ({ ...entry, ...change(entry) } as Entry) : entry));
  };
  const sorted = (files: Entry[]) => files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return {
    'a path renamed': (files) => one(files, () => ({ path: badName(random) })),
    'a path renamed, sorted': (files) => sorted(one(files, () => ({ path: badName(random) }))),
    'a path put below another': (files) =>
      sorted(one(files, ({ path }) => ({ path: `${random.pick(files).path}/${path}` }))),
    'a link to somewhere': (files) => sorted([...files, link('k', badName(random))]),
    'a size changed': (files) =>
      one(files, () => ({ size: random.pick([0, 1, 5, 7, 511, 513, 2 ** 40, 2 ** 53 - 1, -1, 0.5]) })),
    'a mode changed': (files) => one(files, () => ({ mode: random.below(0o10000) })),
    'a digest changed': (files) =>
      one(files, () => ({ sha256: createHash('sha256').update(String(random.next())).digest('hex') })),
    'a type changed': (files) =>
      one(files, () => ({ type: random.pick(['file', 'directory', 'link', 'device', '__proto__']) })),
    'an entry twice': (files) => sorted([...files, random.pick(files)]),
    'an entry left out': (files) => files.filter((_, place) => place !== files.length - 1),
    'an entry more': (files) => sorted([...files, file(badName(random))]),
    'another order': (files) => files.toReversed(),
    nothing: () => [],
  };
}

function edited(bytes: Buffer, edit: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  edit(copy);
  return copy;
}

function flip(bytes: Buffer, at: number, bits: number): void {
  if (at < bytes.length) bytes[at] = bytes[at]! ^ bits;
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}
