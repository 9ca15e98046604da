/**
 * Archives that mean harm, made block by block. Each differs from an archive that is accepted in the one thing that it is named
 * for, so that it is refused for that and not for something else; the messages are checked for the same reason.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { Compression, Entry, Manifest } from '@fleet/protocol/manifest.ts';
import t from 'tap';
import { create, Header, type HeaderData, Pax } from 'tar';
import { END, headerOf, paddingOf } from './form.ts';
import { identityOf } from './identity.ts';
import { unpack } from './unpack.ts';

const HELLO = Buffer.from('hello\n');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const file = (path: string, content = HELLO, mode: 0o644 | 0o755 = 0o644): Entry => ({
  ...{ type: 'file', path, mode, size: content.length, sha256: sha256(content) },
});
const directory = (path: string): Entry => ({ type: 'directory', path });
const link = (path: string, target: string): Entry => ({ type: 'link', path, target });

/** The good release: what the manifest says in every case that does not bring its own. */
const GOOD = [file('a'), directory('d'), file('d/f'), link('l', 'd/f'), file('z', HELLO, 0o755)];

/** One header block, with any fields, and then any bytes in it changed. */
function block(fields: HeaderData, change?: (block: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(512);
  new Header({ mode: 0o644, size: 0, type: 'File', ...fields }).encode(bytes);
  if (!change) return bytes;
  change(bytes);
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}
const content = (bytes = HELLO) => Buffer.concat([bytes, Buffer.alloc(paddingOf(bytes.length))]);
const whole = (entry: Entry, bytes = HELLO) =>
  Buffer.concat(entry.type === 'file' ? [headerOf(entry), content(bytes)] : [headerOf(entry)]);
const [A, D, DF, L, Z] = GOOD.map((entry) => whole(entry)) as [Buffer, Buffer, Buffer, Buffer, Buffer];
/** The good archive with something instead of, or beside, one of its entries. */
const tar = (...parts: Buffer[]) => Buffer.concat([...parts, END]);
const instead = (a: Buffer) => tar(a, D, DF, L, Z);
const fileAs = (fields: HeaderData, change?: (block: Buffer) => void) =>
  instead(Buffer.concat([block({ path: 'a', size: HELLO.length, ...fields }, change), content()]));
const type = (code: string) => (header: Buffer) => header.write(code, 156, 'latin1');
const pax = (fields: HeaderData, global = false) => new Pax(fields, global).encode();

/** A zstd frame by hand: one block that is stored as it is, below a window of 2 ** `log` bytes. */
function zstdFrame(log: number, bytes: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0, 0, 0]);
  head.writeUIntLE(1 | (bytes.length << 3), 6, 3);
  return Buffer.concat([head, bytes]);
}

interface Case {
  name: string;
  /** Uncompressed; or, with `raw`, the artifact as it is. */
  tar: Buffer;
  raw?: boolean;
  files?: Entry[];
  compression?: Compression;
  artifact?: Partial<Manifest['artifact']>;
  refused: RegExp;
}

const BY_ARCHIVE: Case[] = [
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
];

/** The manifest itself means harm, and its archive agrees with it. */
const BY_MANIFEST: Array<[name: string, files: Entry[], refused: RegExp]> = [
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
];

t.test('the archive that all others are like is accepted', async (t) => {
  for (const compression of ['zstd', 'gzip'] as const) {
    const { outcome, into } = await tryOut(t.testdir({}), {
      name: '',
      tar: instead(A),
      compression,
      refused: /./,
    });
    t.equal(outcome, 'unpacked');
    t.equal(readFileSync(join(into, 'd/f'), 'utf8'), 'hello\n');
    t.equal(lstatSync(join(into, 'z')).mode & 0o7777, 0o755);
  }
});

/** Each case has its own directory, and keeps it to the end. */
const home = mkdtempSync(join(tmpdir(), 'fleet-hostile-'));
t.teardown(() => rmSync(home, { recursive: true }));
const late: Array<{ name: string; dir: string; before: string[] }> = [];
for (const { name, files, refused, ...rest } of [...BY_ARCHIVE, ...BY_MANIFEST.map(fromManifest)])
  t.test(name, async (t) => {
    const dir = mkdtempSync(join(home, 'case-'));
    const { outcome, before, after } = await tryOut(dir, { name, files, refused, ...rest });
    t.match(outcome, { name: 'FleetError', code: 'bad_archive', message: refused });
    t.same(after, before, 'nothing is left, and nothing beside it has changed');
    late.push({ name, dir, before });
  });

t.test('other hands’ archives of the same tree', async (t) => {
  const dir = t.testdir({
    tree: { a: 'hello\n', d: { f: 'hello\n' }, l: t.fixture('symlink', 'd/f'), z: 'hello\n' },
  });
  execFileSync('chmod', ['755', join(dir, 'tree/z')]);
  await create({ file: join(dir, 'node.tar'), cwd: join(dir, 'tree'), mode: undefined }, [
    'a',
    'd',
    'l',
    'z',
  ]);
  execFileSync('tar', ['-cf', join(dir, 'gnu.tar'), '-C', join(dir, 'tree'), 'a', 'd', 'l', 'z']);
  for (const made of ['node', 'gnu']) {
    const place = join(dir, made);
    mkdirSync(place);
    const bytes = readFileSync(join(dir, `${made}.tar`));
    const { outcome } = await tryOut(place, { name: made, tar: bytes, refused: /./ });
    t.match(outcome, { code: 'bad_archive', message: /"a" must follow, the archive has File "a"/ });
  }
});

t.test('nothing came late', async (t) => {
  for (const { name, dir, before } of late) t.same(survey(dir), before, name);
  t.notOk(existsSync('/tmp/fleet-hostile'));
});

function fromManifest([name, files, refused]: (typeof BY_MANIFEST)[number]): Case {
  return { name: `manifest: ${name}`, tar: tar(...files.map((entry) => whole(entry))), files, refused };
}

/** Unpacks it into a directory between two neighbours, and looks at everything around it before and after. */
async function tryOut(dir: string, { tar, raw, files = GOOD, compression = 'zstd', artifact }: Case) {
  const compress = compression === 'zstd' ? zstdCompressSync : gzipSync;
  const bytes = raw ? tar : compress(tar);
  mkdirSync(join(dir, 'beside'));
  writeFileSync(join(dir, 'beside/file'), 'mine');
  writeFileSync(join(dir, 'artifact'), bytes);
  const into = join(dir, 'into');
  const manifest: Manifest = {
    ...{ format: 1, service: 'segmenter', version: '1.0.0', platform: 'linux-x64', sealed: {}, files },
    ...{ identity: identityOf(files, {}), source: { kind: 'directory', ref: dir } },
    artifact: { sha256: sha256(bytes), size: bytes.length, compression, ...artifact },
  };
  const before = survey(dir);
  const outcome = await unpack({ artifact: join(dir, 'artifact'), manifest, into }).then(
    () => 'unpacked',
    (error: unknown) => error,
  );
  return { outcome, into, before, after: survey(dir) };
}

function survey(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((path) => ({ path, stat: lstatSync(join(dir, path)) }))
    .map(
      ({ path, stat }) => `${path} ${stat.mode} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.nlink}`,
    )
    .sort();
}
