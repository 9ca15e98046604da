import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openRig, WORKER } from '../rig.fixture.ts';
import { UNSIGNED } from '../trust/trust.ts';
import { statsPath } from './layout.ts';
import { considerOffer } from './offer.ts';

t.setTimeout(600_000);

t.test('an interrupted transfer goes on from what arrived', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const worker = await rig.build('worker', '1.0.0', WORKER, { noise: randomBytes(6 * 1024 * 1024) });
  t.match(await controller.offer(worker, 'offer'), { state: 'wanted', artifactFrom: 0 });

  const stream = {
    name: 'release/worker/1.0.0/artifact',
    path: worker.paths.artifact,
    size: worker.offer.artifact.size,
  };
  let acknowledged = 0;
  const half = Promise.withResolvers<void>();
  const sending = controller.session.send({
    ...stream,
    from: 0,
    onProgress: (done) => {
      acknowledged = done;
      if (done > 2 * 1024 * 1024) half.resolve();
    },
  });
  sending.catch(() => {});
  await half.promise;
  await rig.kill('SIGKILL');
  await t.rejects(sending, { code: 'link_lost' });
  await rig.start();

  const again = await controller.offer(worker, 'offer');
  if (again.state !== 'wanted') throw new Error('the release is not there yet');
  t.ok(again.artifactFrom >= acknowledged, 'what was acknowledged is not sent again');
  t.ok(again.artifactFrom < stream.size);
  await t.rejects(
    controller.session.send({ ...stream, from: stream.size }),
    { code: 'transfer_failed' },
    'nothing is left out',
  );
  const { artifactFrom } = (await controller.stage(worker)) as { artifactFrom: number };
  t.equal(artifactFrom, again.artifactFrom);
  t.strictSame(await controller.offer(worker), { state: 'present' });
});

t.test(
  'what an agent that died just after a release came did not remove goes with the next offer',
  async (t) => {
    const rig = await openRig(t);
    const { controller } = rig;
    await rig.start();
    const worker = await rig.build('worker', '1.0.0', WORKER, { noise: 'noise' });
    await controller.stage(worker);
    const { staging } = rig.home('worker');
    for (const part of ['manifest', 'artifact'] as const)
      await writeFile(join(staging, `1.0.0.${part}.${worker.offer[part].sha256}.part`), 'noise');
    t.strictSame(await controller.offer(worker), { state: 'present' });
    t.strictSame(readdirSync(staging), []);
  },
);

t.test('bytes that are not the ones offered are refused and not kept', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const worker = await rig.build('worker', '1.0.0', WORKER, { file: 'right' });
  const other = join(t.testdir(), 'other');
  await writeFile(other, Buffer.alloc(worker.offer.artifact.size, 'wrong'));
  await t.rejects(
    controller.session.send({ name: 'release/worker/1.0.0/artifact', path: other, from: 0, size: 5 }),
    { code: 'transfer_failed', message: /not offered/ },
  );
  await controller.offer(worker);
  await t.rejects(
    controller.session.send({
      name: 'release/worker/1.0.0/artifact',
      path: other,
      from: 0,
      size: worker.offer.artifact.size,
    }),
    { code: 'transfer_failed', message: /digest/ },
  );
  const { service, version, identity } = worker.manifest;
  const commit = { command: controller.command('commit'), service, version, identity };
  await t.rejects(controller.ask('release.commit', commit), { code: 'transfer_failed' });
  t.notOk(existsSync(join(rig.home('worker').releases, '1.0.0')));
  await controller.stage(worker);
  t.match(
    await controller.ask('release.commit', commit),
    { files: 1, bytes: 5 },
    'the failure was not final',
  );
});

t.test('what has drifted is sent again, unless it is in use', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const one = await rig.build('worker', '1', WORKER, { file: 'one' });
  const other = await rig.build('worker', '1', WORKER, { file: 'another one' });
  const { releases } = rig.home('worker');
  await controller.stage(one);
  await writeFile(join(releases, '1/file'), 'ONE');
  t.match(await controller.stage(one), { state: 'wanted' });
  t.equal(readFileSync(join(releases, '1/file'), 'utf8'), 'one');
  truncateSync(join(rig.home('worker').stats, '1.json'), 3);
  t.match(await controller.stage(one), { state: 'wanted' }, 'damaged notes are no proof');
  t.match(await controller.stage(other), { state: 'wanted' }, 'other content in its place');
  t.match(await controller.stage(one), { state: 'wanted' });

  await controller.activate(one);
  await t.rejects(controller.offer(other), {
    code: 'version_exists',
    message: /left alone/,
    next: /another version/,
  });
  await writeFile(join(releases, '1/file'), 'ONE');
  await t.rejects(controller.offer(one), { code: 'drifted', message: /file.*left alone/s });
  t.equal(readFileSync(join(releases, '1/file'), 'utf8'), 'ONE');
});

t.test('a release that the disk cannot read at this moment is left alone', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const one = await rig.build('worker', '1', WORKER, { file: 'one' });
  await controller.stage(one);
  const home = rig.home('worker');
  const { service, version, identity } = one.manifest;
  const offer = { command: controller.command(), service, version, identity, ...one.offer };
  const readFile = (path: string): Promise<never> =>
    path === statsPath(home, version)
      ? Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }))
      : (home.disk.readFile(path) as Promise<never>);
  await t.rejects(considerOffer({ ...home, disk: { ...home.disk, readFile } }, offer, UNSIGNED), {
    code: 'internal',
    message: /EIO/,
  });
  t.equal(readFileSync(join(home.releases, '1/file'), 'utf8'), 'one');
  t.match(await controller.offer(one), { state: 'present' });
});

t.test('prune keeps what somebody may go back to', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const { releases, manifests } = rig.home('worker');
  const built = [];
  for (const version of ['1', '2', '3', '4', '5', '6']) {
    const one = await rig.build('worker', version, WORKER, { file: version });
    await controller.stage(one);
    built.push(one);
  }
  for (const index of [0, 1, 2, 3, 1]) await controller.activate(built[index]!);
  await controller.restart(built[1]!);
  await controller.activate(built[3]!);
  await controller.activate(built[2]!);
  const prune = (keep: number, protect: string[]) =>
    controller.ask('release.prune', { command: controller.command(), service: 'worker', keep, protect });
  t.strictSame(await prune(2, ['6']), { removed: ['1', '5'] });
  t.strictSame(
    readdirSync(releases).sort(),
    ['2', '3', '4', '6'],
    'current 3, prior 4, running 2, protected 6',
  );
  t.strictSame(readdirSync(manifests).sort(), ['2.json', '3.json', '4.json', '6.json']);
  t.strictSame(await prune(2, []), { removed: ['6'] });
  t.strictSame(await prune(2, []), { removed: [] });
  t.match(await controller.ask('step.report', { service: 'worker' }), { releases: ['3', '4', '2'] });
});

t.test('a directory in the place of current is left alone', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const worker = await rig.build('worker', '1', WORKER, { file: '' });
  await controller.stage(worker);
  const { current } = rig.home('worker');
  await mkdir(current);
  await writeFile(join(current, 'precious'), '');
  await t.rejects(controller.offer(worker), { code: 'switch_failed' });
  await t.rejects(controller.activate(worker), { code: 'switch_failed', message: /not a link/, next: /mv / });
  t.ok(existsSync(join(current, 'precious')));
  await rename(current, `${current}.old`);
  t.match(await controller.activate(worker), { from: null, changed: true });
});

const mayMount = process.getuid?.() === 0 || process.env.CI === 'true';
t.test('a full disk', { skip: mayMount ? false : 'mounting a small disk needs root' }, async (t) => {
  const disk = await realpath(await mkdtemp(join(tmpdir(), 'fleet-disk-')));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]);
  t.teardown(async () => {
    execFileSync('umount', ['--lazy', disk]);
    await rmdir(disk);
  });
  const rig = await openRig(t, { root: disk });
  const { controller } = rig;
  await rig.start();
  const small = await rig.build('worker', '1', WORKER, { file: 'small' });
  await controller.stage(small);
  await controller.activate(small);

  const huge = await rig.build('worker', '2', WORKER, { zeros: Buffer.alloc(32 * 1024 * 1024) });
  await t.rejects(
    controller.offer(huge),
    { code: 'disk_full', message: /needs 32\.\d MiB.*has 2\d\.\d MiB free/, next: /room/ },
    'refused before a byte is sent',
  );

  const big = await rig.build('worker', '3', WORKER, { noise: randomBytes(6 * 1024 * 1024) });
  await controller.offer(big);
  await writeFile(join(disk, 'filler'), Buffer.alloc(20 * 1024 * 1024));
  await t.rejects(controller.stage(big), { code: 'disk_full' });
  await t.rejects(
    controller.session.send({
      ...{ name: 'release/worker/3/artifact', path: big.paths.artifact },
      ...{ from: 0, size: big.offer.artifact.size },
    }),
    { code: 'disk_full' },
    'full in the middle',
  );
  t.strictSame(
    readdirSync(rig.home('worker').staging).filter((name) => name.includes('artifact')),
    [],
    'room is given back',
  );
  t.match(await controller.ask('step.report', { service: 'worker' }), { current: '1', releases: ['1'] });
  await rm(join(disk, 'filler'));
  await controller.stage(big);
  t.strictSame(await controller.offer(big), { state: 'present' });
});
