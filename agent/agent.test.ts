import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { identify } from '@fleet/process/proc.ts';
import t from 'tap';
import { freePort, openRig, runAgentProgram, until, visit, WEB, WEB_SERVER } from './rig.fixture.ts';

const WORKER = {
  run: { supervisor: 'process', command: ['node', '-e', 'setInterval(() => {}, 1000)'] },
};

t.test('from an offer to a running, checked and reported version, and to the next one', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  const hello = await rig.start();
  t.match(hello, { host: 'web-1', labels: { role: 'web' }, services: [], agent: /^\d/, platform: /^linux-/ });
  t.ok(hello.freeDisk > 0);

  const PORT = await freePort();
  const home = rig.home('web');
  const one = await rig.build('web', '1.0.0', WEB, {
    'server.mjs': WEB_SERVER,
    'data/visits': 'first content\n',
  });
  t.match(await controller.stage(one), { state: 'wanted', manifestFrom: 0, artifactFrom: 0 });
  t.strictSame(await controller.stage(one), { state: 'present' });
  t.strictSame(readdirSync(home.staging), [], 'nothing is left in staging');

  t.match(await controller.activate(one), { from: null, changed: true, switchMs: Number });
  t.match(await controller.activate(one), { from: '1.0.0', changed: false });
  t.equal(readlinkSync(home.current), 'releases/1.0.0');
  t.match(await controller.restart(one, { values: { PORT, GREETING: 'good day' } }), { changed: true });
  const smoke = { service: 'web', values: { PORT }, skip: [], onceOnly: false };
  const checked = await controller.ask('check.smoke', { ...smoke, version: '1.0.0' });
  t.match(checked.results, [{ name: 'answers', passed: true }]);
  const answer = await visit(PORT);
  t.match(answer, {
    version: '1.0.0',
    host: 'web-1',
    greeting: 'good day',
    cwd: join(home.releases, '1.0.0'),
  });
  t.equal(statSync(join(home.run, 'values.json')).mode & 0o777, 0o600);

  const two = await rig.build('web', '1.1.0', WEB, {
    'server.mjs': WEB_SERVER,
    'data/visits': 'other content\n',
  });
  await controller.stage(two);
  t.match(await controller.activate(two), { from: '1.0.0', changed: true });
  await controller.restart(two, { values: { PORT } });
  const next = await controller.ask('check.smoke', { ...smoke, version: '1.1.0' });
  t.match(next.results, [{ name: 'answers', passed: true }]);
  t.match(await visit(PORT), { version: '1.1.0', greeting: 'hello' });
  t.match(
    readFileSync(join(home.directory, 'shared/data/visits'), 'utf8'),
    /^first content\n(1\.0\.0\n)+(1\.1\.0\n)+$/,
    'a shared path begins with what the first release brings and survives the second',
  );
  t.strictSame(await controller.stage(one), { state: 'present' }, 'a shared path is no drift');
  t.strictSame(await controller.ask('step.report', { service: 'web' }), {
    current: '1.1.0',
    running: '1.1.0',
    identity: two.manifest.identity,
    state: 'running',
    releases: ['1.1.0', '1.0.0'],
  });
  const old = await controller.ask('check.smoke', { ...smoke, version: '1.0.0', onceOnly: true });
  t.match(old.results, [{ name: 'answers', passed: false }], 'the answer of another version is no success');

  t.strictSame(await controller.ask('step.stop', { command: controller.command(), service: 'web' }), {
    changed: true,
  });
  await t.rejects(visit(PORT));
  t.match(await controller.ask('step.report', { service: 'web' }), { state: 'stopped', running: null });
});

t.test('a repeated restart restarts nothing, a new one does', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const PORT = await freePort();
  const web = await rig.build('web', '1.0.0', WEB, { 'server.mjs': WEB_SERVER });
  await controller.stage(web);
  await controller.activate(web);
  const first = await controller.restart(web, { id: 'restart-1', values: { PORT } });
  await until(() =>
    visit(PORT).then(
      () => true,
      () => false,
    ),
  );
  const { pid } = await visit(PORT);
  t.strictSame(await controller.restart(web, { id: 'restart-1', values: { PORT } }), first);
  t.equal((await visit(PORT)).pid, pid);
  await controller.restart(web, { id: 'restart-2', values: { PORT } });
  await until(() =>
    visit(PORT).then(
      (answer) => answer.pid !== pid,
      () => false,
    ),
  );
});

t.test('an agent that is killed leaves its services running and its word behind', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  const before = await rig.start();
  const PORT = await freePort();
  const one = await rig.build('web', '1.0.0', WEB, { 'server.mjs': WEB_SERVER });
  const two = await rig.build('web', '1.1.0', WEB, { 'server.mjs': WEB_SERVER });
  await controller.stage(one);
  await controller.activate(one);
  await controller.restart(one, { values: { PORT } });
  await until(() =>
    visit(PORT).then(
      () => true,
      () => false,
    ),
  );
  const { pid } = await visit(PORT);
  await controller.stage(two);
  const activated = await controller.activate(two, 'activate-two');
  await writeFile(join(rig.home('web').staging, 'left-by-a-crash'), 'x');

  await rig.kill('SIGKILL');
  t.equal((await visit(PORT)).pid, pid, 'it runs on without an agent');
  const after = await rig.start();
  t.equal(after.instance, before.instance);
  t.match(after.services, [{ service: 'web', current: '1.1.0', releases: ['1.0.0', '1.1.0'] }]);
  t.equal((await visit(PORT)).pid, pid, 'it runs on with a new one');
  t.strictSame(await controller.activate(two, 'activate-two'), activated);
  t.match(await controller.ask('step.report', { service: 'web' }), {
    current: '1.1.0',
    running: '1.0.0',
    identity: one.manifest.identity,
  });
  t.strictSame(readdirSync(rig.home('web').staging), []);
  await controller.restart(two, { values: { PORT } });
  await until(() =>
    visit(PORT).then(
      (answer) => answer.version === '1.1.0',
      () => false,
    ),
  );
});

t.test('an interrupted transfer goes on from what arrived', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const big = Buffer.alloc(6 * 1024 * 1024);
  crypto.getRandomValues(big.subarray(0, 65_536));
  for (let at = 65_536; at < big.length; at += 65_536) crypto.getRandomValues(big.subarray(at, at + 65_536));
  const worker = await rig.build('worker', '1.0.0', WORKER, { big });
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

t.test('a hook that was interrupted is run again only if it says that it may', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const marks = t.testdir();
  /** Takes a while the first time. */
  const hook = (name: string) => [
    'node',
    '-e',
    `const fs = require('fs'); const first = !fs.existsSync('${marks}/${name}');
     fs.appendFileSync('${marks}/${name}', process.pid + '\\n'); if (first) setInterval(() => {}, 1000)`,
  ];
  const runs = (name: string) =>
    existsSync(join(marks, name))
      ? readFileSync(join(marks, name), 'utf8').trim().split('\n').map(Number)
      : [];
  const worker = await rig.build(
    'worker',
    '1.0.0',
    {
      ...WORKER,
      once: [
        { name: 'migrate', command: hook('migrate') },
        { name: 'index', command: hook('index'), repeatable: true },
      ],
    },
    { file: '' },
  );
  await controller.stage(worker);
  const once = (name: string) =>
    controller.ask('step.once', {
      command: controller.command(`once-${name}`),
      service: 'worker',
      version: '1.0.0',
      name,
      values: {},
    });
  await t.rejects(once('nothing'), { code: 'bad_request', message: /no once step nothing/ });

  const migrating = once('migrate');
  migrating.catch(() => {});
  await until(() => runs('migrate').length === 1);
  await rig.kill('SIGKILL');
  await t.rejects(migrating, { code: 'link_lost' });
  await rig.start();
  t.equal(identify(runs('migrate')[0]!), undefined, 'what the dead agent left running was ended');
  await t.rejects(once('migrate'), { code: 'hook_interrupted', data: { hook: 'migrate' } });
  t.equal(runs('migrate').length, 1);

  const indexing = once('index');
  indexing.catch(() => {});
  await until(() => runs('index').length === 1);
  await rig.kill('SIGKILL');
  await rig.start();
  await once('index');
  t.equal(runs('index').length, 2);
  await once('index');
  t.equal(runs('index').length, 2, 'what has ended is not run again');
});

t.test('hooks belong to their release, and a failing one says why', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const notes = join(t.testdir(), 'notes');
  const note = (text: string, code = 0) => ({
    command: ['sh', '-c', `echo ${text} $FLEET_VERSION $COLOUR | tee -a ${notes}; exit ${code}`],
  });
  const sealed = (after_stop: object) => ({
    variables: { COLOUR: { default: 'grey' } },
    run: { ...WORKER.run, environment: { COLOUR: '${COLOUR}' } },
    hooks: {
      before_stop: note('before_stop'),
      after_stop,
      before_start: note('before_start'),
      after_start: note('after_start'),
    },
  });
  const one = await rig.build('worker', '1', sealed(note('after_stop', 3)), { file: 'one' });
  const two = await rig.build('worker', '2', sealed(note('after_stop')), { file: 'two' });
  await controller.stage(one);
  await controller.stage(two);
  await controller.activate(one);
  const started = await controller.restart(one, { values: { COLOUR: 'red' } });
  t.match(started.output, { text: 'before_start 1 red\nafter_start 1 red\n', dropped: 0 });

  await controller.activate(two);
  await t.rejects(controller.restart(two, { values: { COLOUR: 'blue' } }), {
    code: 'hook_failed',
    message: /after_stop of worker 1: sh .* exit status 3/s,
    data: { hook: 'after_stop', code: 3, output: { text: 'after_stop 1 red\n' } },
  });
  t.match(await controller.ask('step.report', { service: 'worker' }), { state: 'stopped', current: '2' });
  const lenient = await controller.restart(two, { values: { COLOUR: 'blue' }, lenientStop: true });
  t.notMatch(lenient.output.text, /before_stop/, 'hooks around the stop are for what runs');
  t.equal(
    readFileSync(notes, 'utf8'),
    [
      ...['before_start 1 red', 'after_start 1 red', 'before_stop 1 red', 'after_stop 1 red'],
      ...['before_start 2 blue', 'after_start 2 blue', ''],
    ].join('\n'),
  );

  await controller.activate(one);
  await controller.restart(one);
  await controller.activate(two);
  const left = await controller.restart(two, { lenientStop: true });
  t.match(left.output.text, /after_stop failed, going on: after_stop of worker 1/);
  t.match(await controller.ask('step.report', { service: 'worker' }), { state: 'running', running: '2' });
});

t.test('values are what the version declares, no more and no less', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const web = await rig.build('web', '1.0.0', WEB, { 'server.mjs': WEB_SERVER });
  await controller.stage(web);
  await controller.activate(web);
  await t.rejects(controller.restart(web, { values: { PORT: '1', COLOUR: 'red' } }), {
    code: 'undeclared_variable',
    message: /COLOUR/,
    data: { variables: ['COLOUR'] },
  });
  await t.rejects(controller.restart(web), { code: 'missing_variable', message: /PORT/ });
  t.match(await controller.ask('step.report', { service: 'web' }), { state: 'stopped' });
});

t.test('a version that does not stay up is a failed start', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const run = { supervisor: 'process', command: ['sh', '-c', 'echo no database; exit 7'] };
  const broken = await rig.build('worker', '1.0.0', { run }, { file: '' });
  await controller.stage(broken);
  await t.rejects(controller.restart(broken), { code: 'no_release', message: /current names nothing/ });
  await controller.activate(broken);
  await t.rejects(controller.restart(broken), { code: 'start_failed' });
  const { results } = await controller.ask('check.smoke', {
    ...{ service: 'worker', version: '1.0.0', values: {}, skip: [], onceOnly: false },
  });
  t.match(results, [{ name: 'running', passed: false }]);
  const { text } = await controller.ask('log.read', { service: 'worker', lines: 10 });
  t.match(text, /no database/);
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
  await t.rejects(controller.activate(worker), { code: 'switch_failed', message: /not a link/, next: /mv / });
  t.ok(existsSync(join(current, 'precious')));
  await rename(current, `${current}.old`);
  t.match(await controller.activate(worker), { from: null, changed: true });
});

t.test('a controller that has been replaced is not obeyed', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const worker = await rig.build('worker', '1', WORKER, { file: '' });
  controller.epoch = 7;
  await controller.stage(worker);
  controller.epoch = 6;
  await t.rejects(controller.activate(worker), { code: 'stale_epoch' });
  await rig.kill('SIGKILL');
  await rig.start();
  await t.rejects(controller.activate(worker), { code: 'stale_epoch' });
  t.match(await controller.ask('step.report', { service: 'worker' }), { current: null });
});

t.test('an agent that is asked to stop finishes what runs and leaves services alone', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const flag = join(t.testdir(), 'flag');
  const wait = `const fs = require('fs'); fs.writeFileSync('${flag}', ''); setInterval(() => fs.existsSync('${flag}.go') && process.exit(), 5)`;
  const hooks = { after_start: { command: ['node', '-e', wait] } };
  const worker = await rig.build('worker', '1', { ...WORKER, hooks }, { file: '' });
  await controller.stage(worker);
  await controller.activate(worker);
  const restarting = controller.restart(worker);
  await until(() => existsSync(flag));
  const ended = rig.kill('SIGTERM');
  const other = () => controller.ask('step.stop', { command: controller.command(), service: 'other' });
  await until(() =>
    other().then(
      () => false,
      ({ code }) => code === 'stopping',
    ),
  );
  await writeFile(`${flag}.go`, '');
  t.match(await restarting, { changed: true });
  t.match(await ended, { code: 0 });
  await rig.start();
  t.match(await controller.ask('step.report', { service: 'worker' }), { state: 'running' });
});

t.test('one agent a data directory', async (t) => {
  const rig = await openRig(t);
  await rig.start();
  const data = join(rig.root, '../data');
  const second = runAgentProgram([
    '--host',
    'web-2',
    '--controller',
    rig.controller.url,
    '--root',
    rig.root,
    '--data',
    data,
  ]);
  const { code, stderr } = await second.ended;
  t.not(code, 0);
  t.match(stderr, /data_in_use|another agent/);
  await rig.kill('SIGKILL');
  await rig.start();
});
