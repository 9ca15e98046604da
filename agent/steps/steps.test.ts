import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identify } from '@fleet/process/proc.ts';
import t from 'tap';
import { openRig, until, WEB, WEB_SERVER, WORKER } from '../rig.fixture.ts';

t.setTimeout(600_000);

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
  const once = (name: string, ...takes: Array<'again' | 'done'>) =>
    controller.ask('step.once', {
      command: {
        ...controller.command(`once-${name}`),
        decisions: takes.map((take, index) => ({ part: name, run: index + 1, take })),
      },
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
  // What the dead agent left running is killed, and gone a moment later.
  await until(() => identify(runs('migrate')[0]!) === undefined);
  const waits = (run: number) => ({
    code: 'hook_interrupted',
    message: /migrate of 1\.0\.0 was interrupted/,
    data: { hook: 'migrate', version: '1.0.0', run },
  });
  await t.rejects(once('migrate'), waits(1));
  t.equal(runs('migrate').length, 1);

  rmSync(join(marks, 'migrate'));
  const again = once('migrate', 'again');
  again.catch(() => {});
  await until(() => runs('migrate').length === 1);
  await rig.kill('SIGKILL');
  await rig.start();
  await t.rejects(once('migrate', 'again'), waits(2), 'the run that a person asked for was interrupted too');
  t.match(await once('migrate', 'again', 'done'), { output: { text: /counts as done/ }, ms: 0 });
  t.match(await once('migrate'), { output: { text: /counts as done/ } });
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
