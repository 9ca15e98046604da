/** Archives that mean harm, unpacked: each is refused for what it is named for, and leaves nothing. */
import { execFileSync } from 'node:child_process';
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
import t from 'tap';
import { create } from 'tar';
import { A, instead } from './blocks.fixture.ts';
import { BY_ARCHIVE, BY_MANIFEST, type Case, makeArtifact } from './hostile.fixture.ts';
import { unpack } from './unpack.ts';

t.setTimeout(300_000);

/** By a process without rights where this is root, as on a host, else by a thread. */
const as = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

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
for (const tried of [...BY_ARCHIVE, ...BY_MANIFEST])
  t.test(tried.name, async (t) => {
    const { name, refused } = tried;
    const dir = mkdtempSync(join(home, 'case-'));
    const { outcome, before, after } = await tryOut(dir, tried);
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

/** Unpacks it into a directory between two neighbours, and looks at everything around it before and after. */
async function tryOut(dir: string, tried: Case) {
  const { bytes, manifest } = makeArtifact(tried, { service: 'segmenter', version: '1.0.0', sealed: {} });
  mkdirSync(join(dir, 'beside'));
  writeFileSync(join(dir, 'beside/file'), 'mine');
  writeFileSync(join(dir, 'artifact'), bytes);
  const into = join(dir, 'into');
  const before = survey(dir);
  const outcome = await unpack({ artifact: join(dir, 'artifact'), manifest, into, as }).then(
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
