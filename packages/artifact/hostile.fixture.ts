/**
 * Archives that mean harm, made block by block. Each differs from an archive that is accepted in the one thing that it is named
 * for, so that it is refused for that and not for something else; the messages are checked for the same reason.
 */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { Compression, Entry, Manifest } from '@fleet/protocol/manifest.ts';
import {
  A,
  block,
  content,
  D,
  DF,
  directory,
  file,
  fileAs,
  GOOD,
  HELLO,
  instead,
  L,
  link,
  pax,
  sha256,
  tar,
  type,
  whole,
  Z,
  zstdFrame,
} from './blocks.fixture.ts';
import { END, headerOf } from './form.ts';
import { identityOf } from './identity.ts';

export interface Case {
  name: string;
  /** Uncompressed; or, with `raw`, the artifact as it is. */
  tar: Buffer;
  raw?: boolean;
  files?: Entry[];
  compression?: Compression;
  artifact?: Partial<Manifest['artifact']>;
  refused: RegExp;
}

/** The artifact, and a manifest that agrees with it except where the case says otherwise. */
export function makeArtifact(
  { tar, raw, files = GOOD, compression = 'zstd', artifact }: Omit<Case, 'name' | 'refused'>,
  named: Pick<Manifest, 'service' | 'version' | 'sealed'>,
): { bytes: Buffer; manifest: Manifest } {
  const compress = compression === 'zstd' ? zstdCompressSync : gzipSync;
  const bytes = raw ? tar : compress(tar);
  const manifest: Manifest = {
    ...{ format: 1, ...named, platform: 'linux-x64', files },
    ...{ identity: identityOf(files, named.sealed), source: { kind: 'directory', ref: '/source' } },
    artifact: { sha256: sha256(bytes), size: bytes.length, compression, ...artifact },
  };
  return { bytes, manifest };
}

export const BY_ARCHIVE: Case[] = [
  { name: 'a name that climbs', tar: instead(whole(file('../a'))), refused: /has File "\.\.\/a"/ },
  { name: 'an absolute name', tar: instead(whole(file('/tmp/a'))), refused: /has File "\/tmp\/a"/ },
  {
    name: 'a link to an absolute path, then a file through it',
    tar: instead(Buffer.concat([whole(link('a', '/tmp')), whole(file('a/x'))])),
    refused: /has SymbolicLink "a" to "\/tmp"/,
  },
  {
    name: 'a link that climbs, then a file through it',
    tar: instead(Buffer.concat([whole(link('a', '../..')), whole(file('a/x'))])),
    refused: /has SymbolicLink "a" to "\.\.\/\.\."/,
  },
  {
    name: 'a chain of links and a hard link at its end',
    tar: instead(
      Buffer.concat([
        whole(link('a', 'd/..')),
        whole(link('b', 'a/..')),
        block({ path: 'c', type: 'Link', linkpath: 'b/etc/passwd' }),
      ]),
    ),
    refused: /has SymbolicLink/,
  },
  {
    name: 'the same link with another target',
    tar: tar(A, D, DF, whole(link('l', '../l')), Z),
    refused: /to "\.\.\/l"/,
  },
  {
    name: 'a hard link outside',
    tar: fileAs({ type: 'Link', linkpath: '../../etc/passwd' }),
    refused: /has Link "a"/,
  },
  {
    name: 'a hard link inside',
    tar: tar(A, D, DF, L, block({ path: 'z', type: 'Link', linkpath: 'a' })),
    refused: /has Link "z"/,
  },
  {
    name: 'a character device',
    tar: fileAs({ type: 'CharacterDevice', devmaj: 1, devmin: 3 }),
    refused: /CharacterDevice/,
  },
  { name: 'a block device', tar: fileAs({ type: 'BlockDevice', devmaj: 8 }), refused: /BlockDevice/ },
  { name: 'a named pipe', tar: fileAs({ type: 'FIFO' }), refused: /FIFO/ },
  { name: 'a contiguous file', tar: fileAs({}, type('7')), refused: /ContiguousFile/ },
  { name: 'a sparse file', tar: fileAs({}, type('S')), refused: /follow, the archive has/ },
  { name: 'a type that nobody knows', tar: fileAs({}, type('~')), refused: /follow, the archive has/ },
  { name: 'setuid', tar: fileAs({ mode: 0o6755 }), refused: /mode 6755/ },
  { name: 'writable by all', tar: fileAs({ mode: 0o666 }), refused: /mode 666/ },
  { name: 'an owner', tar: fileAs({ uid: 1234, gid: 1234 }), refused: /follow, the archive has File "a"/ },
  {
    name: 'the same file twice',
    tar: tar(A, A, D, DF, L, Z),
    refused: /"d" must follow, the archive has File "a"/,
  },
  { name: 'an entry below a file', tar: tar(A, whole(file('a/x')), D, DF, L, Z), refused: /has File "a\/x"/ },
  {
    name: 'a directory replaced by a link, then a file through it',
    tar: tar(A, D, whole(link('d', '..')), DF, L, Z),
    refused: /"d\/f" must follow, the archive has SymbolicLink "d"/,
  },
  { name: 'a case twin', tar: tar(A, whole(file('A')), D, DF, L, Z), refused: /has File "A"/ },
  { name: 'a newline in a name', tar: instead(whole(file('a\nb'))), refused: /has File "a\\nb"/ },
  {
    name: 'a bad checksum',
    tar: instead(Buffer.concat([block({ path: 'a', size: 6 }).fill('7', 148, 150), content()])),
    refused: /bad checksum/,
  },
  {
    name: 'an entry missing in the middle',
    tar: tar(A, D, L, Z),
    refused: /"d\/f" must follow.*SymbolicLink/,
  },
  { name: 'an entry missing at the end', tar: tar(A, D, DF, L), refused: /"z" must follow.*an empty block/ },
  {
    name: 'an entry too many',
    tar: tar(A, D, DF, L, Z, whole(file('zz'))),
    refused: /something else at its end/,
  },
  { name: 'entries in another order', tar: tar(D, DF, A, L, Z), refused: /"a" must follow.*Directory/ },
  { name: 'another size', tar: fileAs({ size: 7 }), refused: /7 bytes/ },
  { name: 'a negative size', tar: fileAs({ size: -1 }), refused: /has File "a"/ },
  {
    name: 'a size beyond counting',
    tar: fileAs({}, (header) => header.fill(0x7f, 125, 136).fill(0x80, 124, 125)),
    refused: /impossible numbers/,
  },
  {
    name: 'the same size, other content',
    tar: instead(whole(file('a'), Buffer.from('jello\n'))),
    refused: /other content/,
  },
  {
    name: 'something hidden in the padding',
    tar: instead(Buffer.concat([headerOf(GOOD[0]!), HELLO, Buffer.alloc(506, 1)])),
    refused: /something else after "a"/,
  },
  {
    name: 'a PAX header that renames',
    tar: instead(Buffer.concat([pax({ path: '../a' }), A])),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a PAX header that resizes',
    tar: instead(Buffer.concat([pax({ path: 'a', size: 600 }), A])),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a global PAX header',
    tar: tar(pax({ path: '../a' }, true), A, D, DF, L, Z),
    refused: /GlobalExtendedHeader/,
  },
  {
    name: 'an enormous name in a PAX header',
    tar: instead(Buffer.concat([pax({ path: 'n'.repeat(1_000_000) }), A])),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a GNU long name',
    tar: instead(
      Buffer.concat([
        block({ path: '././@LongLink', size: 6 }, type('L')),
        content(Buffer.from('../a\0\0')),
        A,
      ]),
    ),
    refused: /NextFileHasLongPath/,
  },
  {
    name: 'a GNU long link',
    tar: tar(
      A,
      D,
      DF,
      block({ path: '././@LongLink', size: 6 }, type('K')),
      content(Buffer.from('/etc\0\0')),
      L,
      Z,
    ),
    refused: /NextFileHasLongLinkpath/,
  },
  { name: 'one closing block', tar: tar(A, D, DF, L, Z).subarray(0, -512), refused: /at its end/ },
  {
    name: 'something after the end',
    tar: Buffer.concat([tar(A, D, DF, L, Z), A]),
    refused: /goes on after its end/,
  },
  {
    name: 'zeros after the end',
    tar: Buffer.concat([tar(A, D, DF, L, Z), END]),
    refused: /goes on after its end/,
  },
  {
    name: 'cut in a header',
    tar: tar(A, D, DF).subarray(0, 1224),
    refused: /"d" must follow.*the end of the archive/,
  },
  { name: 'cut in a file', tar: A.subarray(0, 515), refused: /ends in the middle of "a"/ },
  {
    name: 'a bomb behind the end',
    tar: Buffer.concat([tar(A, D, DF, L, Z), Buffer.alloc(200_000_000)]),
    refused: /goes on after its end/,
  },
  { name: 'a bomb for a file', tar: fileAs({ size: 200_000_000 }).fill(0, 512), refused: /200000000 bytes/ },
  { name: 'nothing', tar: Buffer.alloc(0), refused: /the end of the archive/ },
  { name: 'no bytes at all', tar: Buffer.alloc(0), raw: true, refused: /cannot be unpacked/ },
  { name: 'garbage', tar: Buffer.alloc(5000, 'garbage'), raw: true, refused: /cannot be unpacked/ },
  {
    name: 'cut while compressed',
    tar: zstdCompressSync(tar(A, D, DF, L, Z)).subarray(0, -9),
    raw: true,
    refused: /cannot be unpacked/,
  },
  {
    name: 'garbage behind the compressed end',
    tar: Buffer.concat([zstdCompressSync(instead(A)), Buffer.from('tail')]),
    raw: true,
    refused: /cannot be unpacked/,
  },
  {
    name: 'zeros behind the compressed end',
    tar: Buffer.concat([gzipSync(instead(A)), Buffer.alloc(512)]),
    raw: true,
    compression: 'gzip',
    refused: /cannot be unpacked/,
  },
  {
    name: 'a second gzip member',
    tar: Buffer.concat([gzipSync(instead(A)), gzipSync(A)]),
    raw: true,
    compression: 'gzip',
    refused: /cannot be unpacked/,
  },
  { name: 'compressed twice', tar: gzipSync(instead(A)), refused: /must follow/ },
  { name: 'gzip that is called zstd', tar: gzipSync(instead(A)), raw: true, refused: /cannot be unpacked/ },
  {
    name: 'a frame that asks for 128 MiB of memory',
    tar: zstdFrame(27, instead(A)),
    raw: true,
    refused: /too much memory/,
  },
  {
    name: 'a digest that is not the artifact’s',
    tar: instead(A),
    artifact: { sha256: '0'.repeat(64) },
    refused: /digest/,
  },
  { name: 'fewer bytes than said', tar: instead(A), artifact: { size: 5000 }, refused: /5000 bytes/ },
  { name: 'more bytes than said', tar: instead(A), artifact: { size: 5 }, refused: /5 bytes/ },
  { name: 'a name of a drive', tar: instead(whole(file('C:../a'))), refused: /has File "C:\.\.\/a"/ },
  {
    name: 'a link to a drive',
    tar: instead(whole(link('a', 'C:../../etc'))),
    refused: /SymbolicLink "a" to "C:/,
  },
  {
    name: 'a hard link to a drive',
    tar: fileAs({ type: 'Link', linkpath: 'C:../../etc/passwd' }),
    refused: /has Link "a"/,
  },
  {
    name: 'a hard link that brings content',
    tar: instead(Buffer.concat([block({ path: 'a', type: 'Link', linkpath: 'd/f', size: 6 }), content()])),
    refused: /has Link "a"/,
  },
  {
    name: 'a link that brings content',
    tar: tar(
      A,
      D,
      DF,
      Buffer.concat([
        block({ path: 'l', type: 'SymbolicLink', linkpath: 'd/f', mode: 0o777, size: 6 }),
        content(),
      ]),
      Z,
    ),
    refused: /"l" must follow/,
  },
  {
    name: 'a directory that brings content',
    tar: tar(
      A,
      Buffer.concat([block({ path: 'd/', type: 'Directory', mode: 0o755, size: 6 }), content()]),
      DF,
      L,
      Z,
    ),
    refused: /"d" must follow/,
  },
  {
    name: 'a directory with setgid',
    tar: tar(A, block({ path: 'd/', type: 'Directory', mode: 0o2755 }), DF, L, Z),
    refused: /mode 2755/,
  },
  {
    name: 'a sticky directory',
    tar: tar(A, block({ path: 'd/', type: 'Directory', mode: 0o1777 }), DF, L, Z),
    refused: /mode 1777/,
  },
  {
    name: 'a directory that nobody may enter',
    tar: tar(A, block({ path: 'd/', type: 'Directory', mode: 0 }), DF, L, Z),
    refused: /mode 0/,
  },
  { name: 'owners by name', tar: fileAs({ uname: 'root', gname: 'shadow' }), refused: /"a" must follow/ },
  { name: 'a time', tar: fileAs({ mtime: new Date(2 ** 40) }), refused: /"a" must follow/ },
  { name: 'an accent in another form', tar: instead(whole(file('e\u0301'))), refused: /"a" must follow/ },
  {
    name: 'a name with a full width dot',
    tar: instead(whole(file('\uff0e\uff0e/a'))),
    refused: /"a" must follow/,
  },
  { name: 'a name with a backslash', tar: instead(whole(file('..\\a'))), refused: /has File/ },
  {
    name: 'a name that is an option',
    tar: instead(whole(file('--checkpoint-action=exec=id'))),
    refused: /has File "--check/,
  },
  { name: 'no name', tar: fileAs({ path: '' }), refused: /has File ""/ },
  { name: 'a name of one dot', tar: fileAs({ path: '.' }), refused: /has File "\."/ },
  { name: 'a file whose name ends in a slash', tar: fileAs({ path: 'a/' }), refused: /"a" must follow/ },
  {
    name: 'a zero byte in a name',
    tar: fileAs({}, (header) => header.write('a\0/../../b', 0, 'latin1')),
    refused: /"a" must follow/,
  },
  {
    name: 'a prefix that climbs',
    tar: fileAs({}, (header) => header.write('../..', 345, 'latin1')),
    refused: /"a" must follow/,
  },
  {
    name: 'a header of the seventh edition',
    tar: fileAs({}, (header) => header.fill(0, 257, 265)),
    refused: /"a" must follow/,
  },
  {
    name: 'a GNU header',
    tar: fileAs({}, (header) => header.write('ustar  \0', 257, 'latin1')),
    refused: /"a" must follow/,
  },
  {
    name: 'a size in base 256',
    tar: fileAs({}, (header) => header.fill(0, 124, 136).fill(0x80, 124, 125).fill(6, 135, 136)),
    refused: /"a" must follow/,
  },
  {
    name: 'a negative size in base 256',
    tar: fileAs({}, (header) => header.fill(0xff, 124, 136)),
    refused: /"a" must follow/,
  },
  {
    name: 'a size with blanks',
    tar: fileAs({}, (header) => header.write('      6     ', 124, 'latin1')),
    refused: /"a" must follow/,
  },
  { name: 'a GNU dump of a directory', tar: fileAs({}, type('D')), refused: /"a" must follow/ },
  { name: 'a continued volume', tar: fileAs({}, type('M')), refused: /"a" must follow/ },
  {
    name: 'a volume label',
    tar: tar(block({ path: 'label', size: 0 }, type('V')), A, D, DF, L, Z),
    refused: /"a" must follow/,
  },
  {
    name: 'a PAX header that links',
    tar: instead(Buffer.concat([pax({ path: 'a', linkpath: '/etc/passwd' }), A])),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a PAX header with no entry',
    tar: tar(A, D, DF, L, Z, pax({ path: 'zz' })),
    refused: /something else at its end/,
  },
  {
    name: 'a PAX header after a PAX header',
    tar: instead(Buffer.concat([pax({ path: 'b' }), pax({ path: 'a' }), A])),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a PAX header whose length lies',
    tar: instead(
      Buffer.concat([
        block({ path: 'PaxHeader/a', size: 24 }, type('x')),
        content(Buffer.from('999999 path=../../../etc\n')),
        A,
      ]),
    ),
    refused: /ExtendedHeader/,
  },
  {
    name: 'a GNU long name for a GNU long name',
    tar: instead(
      Buffer.concat([
        block({ path: '././@LongLink', size: 6 }, type('L')),
        content(Buffer.from('../a\0\0')),
        block({ path: '././@LongLink', size: 6 }, type('L')),
        content(Buffer.from('../b\0\0')),
        A,
      ]),
    ),
    refused: /NextFileHasLongPath/,
  },
  {
    name: 'a GNU long name of a gigabyte',
    tar: instead(Buffer.concat([block({ path: '././@LongLink', size: 2 ** 30 }, type('L')), A])),
    refused: /NextFileHasLongPath/,
  },
  { name: 'an empty block between', tar: tar(A, Buffer.alloc(512), D, DF, L, Z), refused: /an empty block/ },
  {
    name: 'half a block behind the end',
    tar: Buffer.concat([tar(A, D, DF, L, Z), Buffer.alloc(100)]),
    refused: /goes on after its end/,
  },
  { name: 'cut in the padding', tar: A.subarray(0, 700), refused: /something else after "a"|must follow/ },
  {
    name: 'a bomb in a thousand members',
    tar: Buffer.concat(Array(1000).fill(gzipSync(Buffer.alloc(1_000_000)))),
    raw: true,
    compression: 'gzip',
    refused: /./,
  },
  {
    name: 'a bomb of frames',
    tar: Buffer.concat(Array(1000).fill(zstdCompressSync(Buffer.alloc(1_000_000)))),
    raw: true,
    refused: /./,
  },
  {
    name: 'a bomb in a bomb',
    tar: gzipSync(gzipSync(Buffer.alloc(50_000_000))),
    raw: true,
    compression: 'gzip',
    refused: /must follow/,
  },
  {
    name: 'a gzip checksum that is wrong',
    tar: damaged(gzipSync(instead(A)), -8),
    raw: true,
    compression: 'gzip',
    refused: /cannot be unpacked/,
  },
  {
    name: 'a gzip length that is wrong',
    tar: damaged(gzipSync(instead(A)), -1),
    raw: true,
    compression: 'gzip',
    refused: /cannot be unpacked/,
  },
  {
    name: 'zstd that is called gzip',
    tar: zstdCompressSync(instead(A)),
    raw: true,
    compression: 'gzip',
    refused: /cannot be unpacked/,
  },
  {
    name: 'a zstd frame that needs a dictionary',
    tar: damaged(zstdCompressSync(instead(A)), 4, 1),
    raw: true,
    refused: /cannot be unpacked/,
  },
  {
    name: 'a skippable frame that has no end',
    tar: Buffer.concat([
      Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0x7f]),
      zstdCompressSync(instead(A)),
    ]),
    raw: true,
    refused: /./,
  },
];

/** With one byte changed; a negative place counts from the end. */
function damaged(bytes: Buffer, at: number, flip = 0xff): Buffer {
  const copy = Buffer.from(bytes);
  const place = at < 0 ? bytes.length + at : at;
  copy[place] = copy[place]! ^ flip;
  return copy;
}

/** The manifest itself means harm, and its archive agrees with it. */
const MANIFESTS: Array<[name: string, files: Entry[], refused: RegExp]> = [
  ['a path that climbs', [file('../a')], /not a plain relative path/],
  ['a path that climbs in its middle', [directory('d'), file('d/../../a')], /not a plain relative path/],
  ['a path that climbs behind a line separator', [file('\u2028/../../a')], /control character/],
  ['an absolute path', [file('/tmp/fleet-hostile')], /not a plain relative path/],
  ['an empty path', [file('')], /not a plain relative path/],
  ['the release itself', [directory('.')], /not a plain relative path/],
  ['a file through a link', [directory('d'), link('e', 'd'), file('e/x')], /in no directory/],
  ['a file below a file', [file('d'), file('d/x')], /in no directory/],
  ['a file in no directory', [file('d/x')], /in no directory/],
  ['a directory after what is in it', [directory('d'), file('d/x'), directory('c')], /out of order/],
  ['a path twice', [file('a'), file('a')], /there twice/],
  ['case twins', [file('A'), file('a')], /one name/],
  ['case twins among directories', [directory('A'), directory('a')], /one name/],
  ['one accent in two ways', [file('e\u0301'), file('\u00e9')], /one name/],
  ['a newline', [file('a\nb')], /control character/],
  ['an escape sequence', [file('a\u001b[2J')], /control character/],
  ['a zero byte', [file('a\0b')], /control character/],
  ['half a character', [file('a\ud800')], /not UTF-8/],
  ['a name beyond all bounds', [file('n'.repeat(5000))], /longer than/],
  ['a name that no file system takes', [file('n'.repeat(1000))], /ENAMETOOLONG/],
  ['a link to an absolute path', [link('l', '/etc')], /absolute/],
  ['a link outside', [link('l', '..')], /outside the release/],
  ['a link outside from below', [directory('d'), link('d/l', '../../x')], /outside the release/],
  ['links that leave together', [link('a', 'b/..'), directory('b')], /climbs after/],
  ['a link with a control character', [link('l', 'a\nb')], /control character/],
  ['a link that is its own target', [link('l', 'l'), link('m', '/proc/self/root')], /absolute/],
  [
    'a link outside by many steps',
    [directory('d'), directory('d/e'), link('d/e/l', '../../../../etc')],
    /outside/,
  ],
  ['a link that descends and climbs', [directory('d'), link('l', 'd/../../etc')], /climbs after/],
  ['a link with an empty target', [link('l', '')], /empty/],
  ['a link with an endless target', [link('l', 'a/'.repeat(3000))], /too long/],
  ['a link below a link', [link('l', '.'), link('l/m', '..')], /in no directory/],
  ['a directory below a link', [directory('d'), link('e', 'd'), directory('e/x')], /in no directory/],
  ['a C1 control', [file('a\u009b2J')], /control character/],
  ['a name that ends in a slash', [file('a/')], /not a plain relative path/],
  ['two slashes', [directory('d'), file('d//f')], /not a plain relative path/],
  ['dotless and dotted i', [file('\u0130'), file('i\u0307')], /one name|out of order/],
  ['sharp s twins', [file('SS'), file('\u00df')], /one name/],
  ['deeper than a path may be', deep(300), /longer than|ENAMETOOLONG/],
];

/** Directories in directories, each with a short name, and a file at the end. */
function deep(levels: number): Entry[] {
  const paths = Array.from({ length: levels }, (_, level) =>
    Array(level + 1)
      .fill('dddd')
      .join('/'),
  );
  return [...paths.map(directory), file(`${paths.at(-1)}/f`)];
}

export const BY_MANIFEST: Case[] = MANIFESTS.map(([name, files, refused]) => ({
  name: `manifest: ${name}`,
  tar: tar(...files.map((entry) => whole(entry))),
  files,
  refused,
}));
