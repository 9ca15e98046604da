import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { refuseDrift } from './drift.ts';
import { inThread } from './inThread.ts';
import { pack } from './pack.ts';
import { optionsFor, plant } from './sampleTree.ts';
import { mountSmallDisk, NO_MOUNT } from './smallDisk.ts';
import { recordStats, type Stats } from './stats.ts';
import { syncEach } from './sync.ts';
import { unpack } from './unpack.ts';
import { verifyTree } from './verify.ts';

const home = t.testdir({ tree: {} });
plant(join(home, 'tree'));
const artifact = join(home, 'artifact');
const manifest = await pack(optionsFor(join(home, 'tree'), artifact));

/** A release on the disk, old enough for its stats to be worth something. */
async function release(dir: string, name = 'release'): Promise<{ dir: string; stats: Stats }> {
  const into = join(dir, name);
  await unpack({ artifact, manifest, into });
  const newest = Math.max(
    ...manifest.files.map(({ type, path }) => (type === 'file' ? statSync(join(into, path)).ctimeMs : 0)),
  );
  while (Date.now() - newest < 60) await setTimeout(5);
  return { dir: into, stats: await recordStats(into, manifest) };
}

const files = manifest.files.filter((entry) => entry.type === 'file').length;

t.test('an unchanged release, also after its rename, and with stats that went through JSON', async (t) => {
  const { dir, stats } = await release(t.testdir({}));
  t.equal(stats.length, files, 'every file is old enough for a stamp');
  renameSync(dir, `${dir}-moved`);
  await verifyTree({ dir: `${dir}-moved`, manifest, stats: JSON.parse(JSON.stringify(stats)) });
  await verifyTree({ dir: `${dir}-moved`, manifest });
});

t.test('a file younger than the clock’s tick is not trusted unread', async (t) => {
  const dir = join(t.testdir({}), 'release');
  await unpack({ artifact, manifest, into: dir });
  const path = join(dir, 'bin/serve');
  const before = readFileSync(path);
  utimesSync(path, 1, 1);
  const stats = await recordStats(dir, manifest);
  t.notOk(stats.some(([stamped]) => stamped === 'bin/serve'));
  writeFileSync(path, Buffer.alloc(before.length, 'x'));
  utimesSync(path, 1, 1);
  await t.rejects(verifyTree({ dir, manifest, stats }), {
    code: 'drifted',
    message: /bin\/serve: other content/,
  });
});

t.test('what is touched but equal is read and accepted; what is trusted is not read', async (t) => {
  const { dir, stats } = await release(t.testdir({}));
  utimesSync(join(dir, 'lib/größe'), 1, 1);
  await verifyTree({ dir, manifest, stats });
  const lying = {
    ...manifest,
    files: manifest.files.map((entry) =>
      entry.type === 'file' ? { ...entry, sha256: '0'.repeat(64) } : entry,
    ),
  };
  utimesSync(join(dir, 'lib/größe'), 2, 2);
  const drift = verifyTree({ dir, manifest: lying, stats });
  await t.rejects(drift, { code: 'drifted', message: /says: lib\/größe: other content$/ });
});

/** Puts something else in a path's place. */
function put(path: string, make: (path: string) => unknown): void {
  rmSync(path, { recursive: true });
  make(path);
}

t.test('drift', async (t) => {
  const cases: Array<[name: string, change: (dir: string) => unknown, message: RegExp]> = [
    [
      'content of equal size',
      (dir) => writeFileSync(join(dir, 'lib/größe'), 'ä'),
      /lib\/größe: other content/,
    ],
    [
      'content of equal size and time',
      (dir) => {
        const path = join(dir, 'lib/größe');
        const { atime, mtime } = statSync(path);
        writeFileSync(path, 'ä');
        utimesSync(path, atime, mtime);
      },
      /lib\/größe: other content/,
    ],
    [
      'content, far into a large file',
      (dir) =>
        execFileSync('dd', [
          'if=/dev/zero',
          `of=${dir}/lib/deep/data`,
          'bs=1',
          'seek=2900000',
          'count=1',
          'conv=notrunc',
          'status=none',
        ]),
      /lib\/deep\/data: other content/,
    ],
    ['longer', (dir) => appendFileSync(join(dir, 'bin/serve'), '#'), /bin\/serve: 11 bytes, not 10/],
    ['mode', (dir) => chmodSync(join(dir, 'bin/serve'), 0o644), /bin\/serve: mode 644, not 755/],
    ['setuid', (dir) => chmodSync(join(dir, 'bin/serve'), 0o4755), /bin\/serve: mode 4755/],
    ['missing file', (dir) => unlinkSync(join(dir, 'lib/nothing')), /lib\/nothing: missing/],
    [
      'missing directory',
      (dir) => rmSync(join(dir, 'lib'), { recursive: true }),
      /lib: missing; lib\/deep: missing/,
    ],
    ['extra file', (dir) => writeFileSync(join(dir, 'empty/new'), ''), /empty\/new: not in the manifest/],
    ['extra directory', (dir) => mkdirSync(join(dir, 'cache')), /cache: not in the manifest/],
    [
      'file to link',
      (dir) => put(join(dir, 'lib/nothing'), (path) => symlinkSync('größe', path)),
      /lib\/nothing: not a file/,
    ],
    ['file to directory', (dir) => put(join(dir, 'lib/nothing'), mkdirSync), /lib\/nothing: not a file/],
    [
      'directory to link',
      (dir) => put(join(dir, 'lib'), (path) => symlinkSync('bin', path)),
      /lib: not a directory/,
    ],
    [
      'link elsewhere',
      (dir) => put(join(dir, 'lib64'), (path) => symlinkSync('bin', path)),
      /lib64: a link to something else/,
    ],
    [
      'named pipe',
      (dir) => put(join(dir, 'lib/nothing'), (path) => execFileSync('mkfifo', [path])),
      /lib\/nothing: not a file/,
    ],
    ['everything', (dir) => put(dir, mkdirSync), /and \d+ more/],
  ];
  const place = t.testdir({});
  for (const [name, change, message] of cases) {
    const { dir, stats } = await release(place, name.replaceAll(' ', '-'));
    change(dir);
    await t.rejects(
      verifyTree({ dir, manifest, stats }),
      { name: 'FleetError', code: 'drifted', message, next: String },
      name,
    );
  }
  await t.rejects(verifyTree({ dir: join(place, 'nowhere'), manifest }), {
    code: 'drifted',
    message: /nowhere/,
  });
});

t.test('a disk that is unwell is no drift', async (t) => {
  const { dir } = await release(t.testdir({}));
  const failing = (code: string) => () => {
    throw Object.assign(new Error(`${code}: while it was read`), { errno: -1, code });
  };
  await t.rejects(refuseDrift(dir, manifest, [], failing('EIO')), { code: 'EIO' });
  await t.rejects(refuseDrift(dir, manifest, [], failing('ENOENT')), { code: 'drifted' });
});

t.test('stats are not recorded of a tree that has drifted', async (t) => {
  const { dir } = await release(t.testdir({}));
  appendFileSync(join(dir, 'bin/serve'), '#');
  await t.rejects(recordStats(dir, manifest), { code: 'drifted' });
});

t.test('links of shared paths', async (t) => {
  const place = t.testdir({ shared: {} });
  const { dir, stats } = await release(place);
  const ignore = ['lib', 'var/data', 'absent'];
  rmSync(join(dir, 'lib'), { recursive: true });
  symlinkSync(join(place, 'shared'), join(dir, 'lib'));
  mkdirSync(join(dir, 'var'));
  symlinkSync(join(place, 'shared'), join(dir, 'var/data'));
  await verifyTree({ dir, manifest, stats, ignore });
  await t.rejects(verifyTree({ dir, manifest, stats }), { message: /lib: not a directory/ });
  writeFileSync(join(dir, 'var/other'), '');
  await t.rejects(verifyTree({ dir, manifest, stats, ignore }), {
    message: /: var\/other: not in the manifest$/,
  });
  rmSync(join(dir, 'var/other'));
  mkdirSync(join(dir, 'absent'));
  await t.rejects(
    verifyTree({ dir, manifest, stats, ignore }),
    { message: /: absent: not in the manifest$/ },
    'only a link is ignored',
  );
});

t.test('unpacking again into what is there leaves it alone', async (t) => {
  const into = t.testdir({ mine: 'x' });
  await t.rejects(unpack({ artifact, manifest, into }), { code: 'bad_archive', message: /EEXIST/ });
  t.equal(readFileSync(join(into, 'mine'), 'utf8'), 'x');
  await t.rejects(unpack({ artifact: `${artifact}.gone`, manifest, into: join(into, 'new') }), {
    message: /ENOENT/,
  });
  t.throws(() => statSync(join(into, 'new')), { code: 'ENOENT' });
});

t.test('a fault in the thread is an answer, and umask has no say', async (t) => {
  await t.rejects(inThread('nonsense' as 'pack', {} as never), { code: 'internal' });
  const umask = process.umask(0o077);
  t.teardown(() => process.umask(umask));
  const { dir, stats } = await release(t.testdir({}));
  t.equal(statSync(dir).mode & 0o777, 0o755);
  t.equal(statSync(join(dir, 'lib')).mode & 0o777, 0o755);
  t.doesNotThrow(() => syncEach(dir, manifest.files), 'where there is no sync program');
  await verifyTree({ dir, manifest, stats });
});

const small = mountSmallDisk('size=1m');
const crowded = mountSmallDisk('size=100m,nr_inodes=12');
const taken = mountSmallDisk('size=100m,nr_inodes=1');
t.teardown(() => small?.remove());
t.teardown(() => crowded?.remove());
t.teardown(() => taken?.remove());
t.test('a full disk', { skip: !small && NO_MOUNT }, async (t) => {
  const full = unpack({ artifact, manifest, into: join(small!.path, 'a') });
  await t.rejects(full, {
    code: 'disk_full',
    message: /1 MiB free, the release needs 3 MiB/,
    next: /make room/,
  });
  const filled = unpack({ artifact, manifest, into: join(crowded!.path, 'a') });
  await t.rejects(filled, { code: 'disk_full', message: /ENOSPC/ }, 'noticed in the middle');
  const refused = unpack({ artifact, manifest, into: join(taken!.path, 'a') });
  await t.rejects(refused, { code: 'disk_full', message: /ENOSPC/ }, 'noticed at the first directory');
  for (const disk of [small!, crowded!, taken!])
    t.same(execFileSync('ls', ['-A', disk.path], { encoding: 'utf8' }), '');
});
