import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { freePort, openRig, runAgentProgram, until, visit, WEB, WEB_SERVER, WORKER } from './rig.fixture.ts';

t.setTimeout(600_000);

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
  const home = rig.home('web');
  const leftovers = [
    join(home.staging, 'half-a-tree'),
    join(home.directory, '.current-x'),
    join(home.shared, '.fleet-x'),
    join(home.manifests, '1.2.0.json.x.tmp'),
  ];
  for (const path of leftovers) await writeFile(path, '');

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
  for (const path of leftovers) t.notOk(existsSync(path), path);
  await controller.restart(two, { values: { PORT } });
  await until(() =>
    visit(PORT).then(
      (answer) => answer.version === '1.1.0',
      () => false,
    ),
  );
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

t.test('a host that is given up: its services are ended for good', async (t) => {
  const rig = await openRig(t);
  await rig.start();
  const PORT = await freePort();
  const one = await rig.build('web', '1.0.0', WEB, { 'server.mjs': WEB_SERVER });
  await rig.controller.stage(one);
  await rig.controller.activate(one);
  await rig.controller.restart(one, { values: { PORT } });
  await until(() => visit(PORT).then(Boolean, () => false));

  const end = () => {
    const data = join(rig.root, '../data');
    return runAgentProgram(['--end-services', '--host', 'web-1', '--root', rig.root, '--data', data]).ended;
  };
  t.not((await end()).code, 0, 'not beside an agent that runs');
  t.ok(await visit(PORT), 'which keeps them running');

  await rig.kill('SIGTERM');
  t.equal((await end()).code, 0);
  await t.rejects(visit(PORT), 'nobody answers');
  await rig.start();
  t.equal(
    (await rig.controller.ask('step.report', { service: 'web' })).state,
    'stopped',
    'nor after the next start',
  );
});

t.test('a controller that chooses a protocol which the agent does not speak is left', async (t) => {
  const rig = await openRig(t);
  rig.controller.protocol = 0;
  await rig.start();
  const { links } = rig.controller;
  await links[0]!.session.closed;
  await until(() => links.length > 1);
  t.pass('it hangs up, and asks anew');
});
