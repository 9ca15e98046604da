import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import t from 'tap';
import { compileGlobs } from './globs.ts';
import { identityOf } from './identity.ts';
import { decodeManifest, encodeManifest } from './manifest.ts';
import { pack } from './pack.ts';
import { optionsFor, plant } from './sampleTree.ts';
import { mountSmallDisk, NO_MOUNT } from './smallDisk.ts';
import { unpack } from './unpack.ts';

/** sha256 of what `plant` packs to before compression. When it changes, no agent unpacks what an older controller packed. */
const FORM = '7d30e440a646afd5c1173a52149b495ba8cc3e7dffbbec76cc0441f160446c53';
const IDENTITY = 'f1c3bc3f927a9ec739efbb652931fb477130e52e7ea802a319a4344785c15877';

t.test('a round trip, by fleet and by hand', async (t) => {
  for (const compression of ['zstd', 'gzip'] as const) {
    const dir = t.testdir({ tree: {}, byHand: {} });
    plant(join(dir, 'tree'));
    const artifact = join(dir, 'artifact');
    const manifest = await pack({ ...optionsFor(join(dir, 'tree'), artifact), compression });
    t.same(decodeManifest(encodeManifest(manifest)), manifest, 'the manifest survives its own encoding');
    const into = join(dir, 'into');
    const { files, bytes } = await unpack({ artifact, manifest, into });
    t.equal(files, manifest.files.length);
    t.equal(
      bytes,
      manifest.files.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0),
    );
    t.equal(statSync(into).mode & 0o777, 0o755, 'others may read it once it is whole');
    const flag = compression === 'zstd' ? '--zstd' : '-z';
    const tar = spawnSync('tar', [flag, '-xf', artifact, '-C', join(dir, 'byHand')], { encoding: 'utf8' });
    t.same([tar.status, tar.stderr], [0, ''], 'tar has nothing to complain of');
    for (const made of ['into', 'byHand']) {
      const difference = spawnSync('diff', ['-r', '--no-dereference', 'tree', made], {
        cwd: dir,
        encoding: 'utf8',
      });
      t.equal(difference.stdout, 'Only in tree: .git\n', made);
      t.equal(statSync(join(dir, made, 'bin/serve')).mode & 0o777, 0o755);
      t.equal(statSync(join(dir, made, 'lib/größe')).mode & 0o777, 0o644);
      t.ok(statSync(join(dir, made, 'empty')).isDirectory());
    }
  }
});

t.test('equal content gives equal bytes', async (t) => {
  const dir = t.testdir({ one: {}, other: { place: {} } });
  const [one, other] = [join(dir, 'one'), join(dir, 'other/place')];
  plant(one);
  const script = `umask 077; cp -r ${one}/. ${other}; cd ${other}; chmod 700 bin/serve; mkdir -p tmp; rm -r tmp`;
  execFileSync('sh', ['-c', script]);
  utimesSync(join(other, 'lib/größe'), 1, 1);
  renameSync(join(other, 'bin'), join(other, 'bin2'));
  renameSync(join(other, 'bin2'), join(other, 'bin'));
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', '1234:1234', other]);
  for (const compression of ['zstd', 'gzip'] as const) {
    const a = await pack({ ...optionsFor(one, join(dir, 'a')), compression });
    for (let round = 0; round < 3; round++) {
      const b = await pack({ ...optionsFor(other, join(dir, 'b')), compression });
      t.equal(b.identity, a.identity);
      t.same(b.artifact, a.artifact);
    }
    t.ok(readFileSync(join(dir, 'a')).equals(readFileSync(join(dir, 'b'))));
  }
});

t.test('the form of an archive is pinned: other bytes are another format', async (t) => {
  const dir = t.testdir({ tree: {} });
  plant(join(dir, 'tree'));
  const manifest = await pack({ ...optionsFor(join(dir, 'tree'), join(dir, 'a')) });
  const tar = execFileSync('zstd', ['-dc', join(dir, 'a')], { maxBuffer: 1 << 26 });
  t.equal(createHash('sha256').update(tar).digest('hex'), FORM);
  t.equal(manifest.identity, IDENTITY);
});

t.test('identity is content, modes, links and what is sealed, and nothing else', async (t) => {
  const dir = t.testdir({ tree: { a: '1', b: '2' } });
  const tree = join(dir, 'tree');
  symlinkSync('a', join(tree, 'c'));
  const options = optionsFor(tree, join(dir, 'out'));
  const { identity } = await pack(options);
  const same = await pack({ ...options, compression: 'gzip', version: '2.0.0', platform: 'linux-arm64' });
  t.equal(same.identity, identity);
  const others = [identity];
  const changes: Array<() => void> = [
    () => writeFileSync(join(tree, 'a'), '2'),
    () => chmodSync(join(tree, 'a'), 0o755),
    () => mkdirSync(join(tree, 'd')),
    () => execFileSync('ln', ['-sfn', 'b', join(tree, 'c')]),
    () => renameSync(join(tree, 'b'), join(tree, 'e')),
  ];
  for (const change of changes) {
    change();
    others.push((await pack(options)).identity);
  }
  others.push((await pack({ ...options, sealed: { service: 'segmenter', smoke: [] } })).identity);
  t.equal(new Set(others).size, others.length);
  t.equal(
    identityOf([], { a: 1, b: { d: 1, c: 2 } }),
    identityOf([], { b: { c: 2, d: 1 }, a: 1 }),
    'keys have no order',
  );
});

t.test('globs', async (t) => {
  const dir = t.testdir({
    src: { 'a.js': '', 'a.test.js': '', '.x': '', sub: { 'b.js': '' } },
    'README.md': '',
    docs: { a: '' },
  });
  const packed = async (include: string[], exclude: string[] = []) =>
    (await pack({ ...optionsFor(dir, `${dir}.out`), include, exclude })).files.map((entry) => entry.path);
  t.same(await packed(['src']), ['src', 'src/.x', 'src/a.js', 'src/a.test.js', 'src/sub', 'src/sub/b.js']);
  t.same(await packed(['src/**/*.js'], ['**/*.test.js']), ['src', 'src/a.js', 'src/sub', 'src/sub/b.js']);
  t.same(await packed(['**'], ['src', 'docs/**']), ['README.md', 'docs']);
  await t.rejects(packed(['nothing']), { code: 'source_failed', message: /nothing to pack/ });
  await t.rejects(packed(['**'], ['!src']), { code: 'bad_config' });
  await t.rejects(packed(['{a}', '{{a}']), { code: 'bad_config' });
  const table: Array<[glob: string, yes: string[], no: string[]]> = [
    ['*.md', ['a.md', '.md'], ['a/b.md', 'amd']],
    ['**/x', ['x', 'a/x', 'a/b/x'], ['ax', 'x/a']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['ab', 'a/xb']],
    ['a?c', ['abc', 'aéc'], ['a/c', 'ac']],
    ['[!a-c]x', ['dx'], ['ax', '/x']],
    ['*.{js,ts}', ['a.js', 'a.ts'], ['a.jts', 'a.']],
    ['a+(b).$', ['a+(b).$'], ['aab.']],
    ['\\*', ['*'], ['a']],
    ['./dist/', ['dist'], ['dist/a']],
  ];
  for (const [glob, yes, no] of table) {
    const matches = compileGlobs([glob]);
    for (const path of yes) t.ok(matches(path), `${glob} matches ${path}`);
    for (const path of no) t.notOk(matches(path), `${glob} does not match ${path}`);
  }
});

t.test('what cannot be in a release is refused by its name', async (t) => {
  const cases: Array<[name: string, make: (dir: string) => unknown, message: RegExp]> = [
    ['a link that leaves', (dir) => symlinkSync('../out', join(dir, 'out')), /"out" is a link.*outside/],
    ['an absolute link', (dir) => symlinkSync('/etc/passwd', join(dir, 'pw')), /"pw".*absolute path/],
    ['a link that climbs late', (dir) => symlinkSync('a/../..', join(dir, 'l')), /"l".*climbs after/],
    ['a named pipe', (dir) => execFileSync('mkfifo', [join(dir, 'pipe')]), /"pipe" is a named pipe/],
    ['a newline', (dir) => writeFileSync(join(dir, 'two\nlines'), ''), /"two\\nlines" has a control/],
    [
      'case twins',
      (dir) => ['readme', 'README'].map((name) => writeFileSync(join(dir, name), '')),
      /one name/,
    ],
    [
      'accents twice',
      (dir) => ['\u00e9', 'e\u0301'].map((name) => writeFileSync(join(dir, name), '')),
      /one name where case or accents/,
    ],
    [
      'not UTF-8',
      (dir) => writeFileSync(Buffer.concat([Buffer.from(`${dir}/x`), Buffer.from([0xff])]), ''),
      /not UTF-8/,
    ],
  ];
  for (const [name, make, message] of cases) {
    const dir = t.testdir({ tree: { fine: '' } });
    make(join(dir, 'tree'));
    const packing = pack(optionsFor(join(dir, 'tree'), join(dir, 'out')));
    await t.rejects(packing, { name: 'FleetError', code: 'source_failed', message, next: String }, name);
    t.notOk(existsSync(join(dir, 'out')), 'no artifact is left');
  }
  // A socket's path must be short.
  const dir = mkdtempSync(join(tmpdir(), 'fleet-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const server = createServer();
  server.on('error', (error) => t.fail(error.message));
  t.teardown(() => server.close());
  await new Promise<void>((listening) => server.listen(join(dir, 'sock'), listening));
  await t.rejects(pack(optionsFor(dir, `${dir}.out`)), { message: /"sock" is a socket/ });
});

t.test('a root outside the checkout, or none', async (t) => {
  const dir = t.testdir({ checkout: {}, secret: { key: 'x' } });
  symlinkSync('../secret', join(dir, 'checkout/dist'));
  const options = optionsFor(join(dir, 'checkout'), join(dir, 'out'));
  await t.rejects(pack({ ...options, root: 'dist' }), {
    code: 'source_failed',
    message: /leaves the checkout/,
  });
  await t.rejects(pack({ ...options, root: 'build' }), { code: 'source_failed', message: /is not there/ });
});

const small = mountSmallDisk('size=1m');
t.teardown(() => small?.remove());
t.test('a disk without room for the artifact', { skip: !small && NO_MOUNT }, async (t) => {
  const disk = small!;
  const dir = t.testdir({ tree: { big: randomBytes(3_000_000) } });
  const packing = pack(optionsFor(join(dir, 'tree'), join(disk.path, 'out')));
  await t.rejects(packing, { code: 'disk_full', message: /no room for .*out/ });
  t.notOk(existsSync(join(disk.path, 'out')));
});

t.test('a manifest that does not agree with itself', async (t) => {
  const dir = t.testdir({ a: '1' });
  const manifest = await pack(optionsFor(dir, `${dir}.out`));
  const change = (more: Partial<Manifest>) => encodeManifest({ ...manifest, ...more });
  const climbing = [
    { type: 'directory' as const, path: 'x\u2028' },
    { type: 'directory' as const, path: 'x\u2028/..' },
  ];
  const cases: Array<[Buffer, RegExp]> = [
    [Buffer.from('{'), /not JSON/],
    [Buffer.from('[]'), /refused/],
    [change({ version: '../1' }), /version/],
    [change({ sealed: { other: 1 } }), /identity/],
    [change({ files: climbing, identity: identityOf(climbing, manifest.sealed) }), /without . or .. parts/],
    [Buffer.from('['.repeat(200_000)), /refused/],
    [Buffer.from(`{"sealed":${'['.repeat(50_000)}${']'.repeat(50_000)}}`), /refused/],
    [Buffer.alloc(65 * 1024 * 1024), /bytes/],
  ];
  for (const [bytes, message] of cases)
    t.throws(() => decodeManifest(bytes), { name: 'FleetError', code: 'bad_archive', message });
});
