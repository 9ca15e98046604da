/** An agent that is root, and services that are not: real programs as a real other user. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@fleet/process/ending.ts';
import { findSetpriv, launchAs } from '@fleet/process/user.ts';
import t, { type Test } from 'tap';
import { openRig, type Rig, until, WORKER } from '../rig.fixture.ts';
import { readState } from '../supervisors/state.ts';

t.setTimeout(300_000);

const SKIP =
  process.getuid?.() !== 0
    ? 'only root runs programs as other users'
    : findSetpriv() === undefined
      ? 'this machine has no setpriv'
      : false;
const NOBODY = { name: 'nobody', uid: 65534, gid: 65534, home: '/nonexistent' };

/** Says on its stdout who it is and what it can do, and stays where it is asked to. */
const PROBE = `
  import { spawn } from 'node:child_process';
  import { readFileSync, writeFileSync } from 'node:fs';
  const can = (act) => { try { act(); return 'can'; } catch (error) { return error.code; } };
  const [place, stay] = process.argv.slice(2);
  const status = readFileSync('/proc/self/status', 'utf8');
  const line = (name) => new RegExp('^' + name + ':\\\\s*(.*)$', 'm').exec(status)?.[1];
  const { HOME, USER, LOGNAME, LD_LIBRARY_PATH, FLEET_VERSION } = process.env;
  const said = JSON.stringify({
    uid: line('Uid'), groups: line('Groups').trim(), privileges: line('NoNewPrivs'), capabilities: line('CapEff'),
    env: { HOME, USER, LOGNAME, LD_LIBRARY_PATH, FLEET_VERSION },
    release: can(() => writeFileSync('added', '')), program: can(() => writeFileSync('probe.mjs', '')),
    shared: can(() => writeFileSync('data/by-' + place, place)), inherited: can(() => writeFileSync('data/first', 'changed')),
    values: can(() => readFileSync('../../run/values.json')), spec: can(() => readFileSync('../../run/spec.json')),
    manifest: can(() => readFileSync('../../manifests/1.0.0.json')), staging: can(() => writeFileSync('../../staging/x', '')),
    current: can(() => writeFileSync('../../mine', '')), again: can(() => writeFileSync('/dev/stderr', '')),
  });
  console.log(said);
  if (place !== 'smoke' && place !== 'hook') writeFileSync('data/' + place, said);
  if (stay) {
    process.on('SIGTERM', () => {});
    spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    setInterval(() => {}, 1000);
  }
`;

/** The test runner has every Node load it first, and that one may not read it. */
const PROBING = ['env', '-u', 'NODE_OPTIONS', 'node', 'probe.mjs'];
const SEALED = {
  run: {
    supervisor: 'process',
    command: [...PROBING, 'service', 'stay'],
    environment: { LD_LIBRARY_PATH: '/nowhere' },
    stop: { grace: '200ms' },
  },
  hooks: { before_start: { command: [...PROBING, 'hook'] } },
  once: [{ name: 'migrate', command: [...PROBING, 'once'] }],
  smoke: [{ name: 'look', kind: 'command', command: [...PROBING, 'smoke'], timeout: '20s' }],
  shared: ['data'],
};

const AS_NOBODY = {
  uid: '65534\t65534\t65534\t65534',
  groups: '65534',
  privileges: '1',
  capabilities: '0000000000000000',
  env: {
    HOME: '/nonexistent',
    USER: 'nobody',
    LOGNAME: 'nobody',
    LD_LIBRARY_PATH: '/nowhere',
    FLEET_VERSION: '1.0.0',
  },
  release: 'EACCES',
  program: 'EACCES',
  shared: 'can',
  inherited: 'can',
  values: 'EACCES',
  spec: 'EACCES',
  manifest: 'EACCES',
  staging: 'EACCES',
  current: 'EACCES',
  again: 'can',
};

async function deployed(t: Test, policy: Record<string, unknown>) {
  const rig = await openRig(t, { policy });
  await rig.start();
  const built = await rig.build('web', '1.0.0', SEALED, { 'probe.mjs': PROBE, 'data/first': 'brought\n' });
  await rig.controller.stage(built);
  await rig.controller.activate(built);
  return { rig, built };
}

/** What the probe has written down, once it has. */
async function saidAt(rig: Rig, place: string): Promise<Record<string, unknown>> {
  const path = join(rig.home('web').shared, 'data', place);
  await until(() => existsSync(path) && readFileSync(path, 'utf8').endsWith('}'));
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
}

t.test(
  'the service, its hooks, its once steps and its checks run as their user',
  { skip: SKIP },
  async (t) => {
    const { rig, built } = await deployed(t, { run_as: { '*': 'nobody' } });
    const { controller } = rig;
    const once = { service: 'web', version: '1.0.0', name: 'migrate', values: {} };
    const migrated = await controller.ask('step.once', { command: controller.command(), ...once });
    t.match(JSON.parse(migrated.output.text), AS_NOBODY, 'a once step');
    t.match(JSON.parse((await controller.restart(built)).output.text), AS_NOBODY, 'a hook');
    t.match(await saidAt(rig, 'service'), AS_NOBODY, 'the service');
    const smoke = { service: 'web', version: '1.0.0', values: {}, skip: [], onceOnly: true };
    const { results } = await controller.ask('check.smoke', smoke);
    t.match(results, [{ name: 'look', passed: true, detail: /65534\\t65534/ }], 'a check');

    const home = rig.home('web');
    for (const [path, uid, mode] of [
      [home.directory, 0, 0o755],
      [home.releases, 0, 0o755],
      [join(home.releases, '1.0.0'), 0, 0o755],
      [join(home.releases, '1.0.0', 'probe.mjs'), 0, 0o644],
      [home.staging, 0, 0o700],
      [home.run, 0, 0o700],
      [home.manifests, 0, 0o700],
      [home.shared, 0, 0o755],
      [join(home.shared, 'data'), 65534, 0o755],
      [join(home.shared, 'data', 'first'), 65534, 0o644],
      [join(home.run, 'log'), 0, 0o640],
    ] as const) {
      const stat = statSync(path);
      t.strictSame([stat.uid, (stat.mode & 0o777).toString(8)], [uid, mode.toString(8)], path);
    }

    t.comment(
      'an agent and a shim that die leave a service that is ended, and started again, as the same user',
    );
    const state = await readState(home.run);
    await rig.kill('SIGKILL');
    process.kill(state!.shim.pid, 'SIGKILL');
    await rig.start();
    await until(async () => (await controller.ask('step.report', { service: 'web' })).state === 'running');
    const again = await readState(home.run);
    t.not(again!.program!.pid, state!.program!.pid);
    const statusOf = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8');
    t.match(statusOf(again!.program!.pid), /^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
    t.match(statusOf(again!.shim.pid), /^Uid:\s+0\s/m, 'its log stays with the agent');

    const group = again!.program!.pid;
    await until(() => inGroup(group).length >= 2); // It has a child, and neither hears SIGTERM.
    await controller.ask('step.stop', { command: controller.command(), service: 'web' });
    t.ok(await eventually(() => inGroup(group).length === 0, 20_000), 'all of its group is ended');
  },
);

t.test('a service that commands start and stop runs them as its user', { skip: SKIP }, async (t) => {
  const rig = await openRig(t, { policy: { run_as: { worker: 'nobody' } } });
  await rig.start();
  const sh = (line: string) => ['sh', '-c', line];
  const worker = {
    run: {
      supervisor: 'command',
      start: sh('id -u > data/started'),
      stop: sh('id -u > data/stopped; rm data/started'),
      status: sh('id -u > data/asked; test -e data/started || exit 3'),
    },
    shared: ['data'],
  };
  const built = await rig.build('worker', '1.0.0', worker, { readme: '' });
  await rig.controller.stage(built);
  await rig.controller.activate(built);
  await rig.controller.restart(built);
  const data = join(rig.home('worker').shared, 'data');
  await rig.controller.ask('step.stop', { command: rig.controller.command(), service: 'worker' });
  for (const name of ['asked', 'stopped']) t.equal(readFileSync(join(data, name), 'utf8'), '65534\n', name);
});

t.test(
  'as the agent itself only where that is written, and hooks as root only where that is',
  { skip: SKIP },
  async (t) => {
    const rig = await openRig(t, { policy: { run_as: { '*': 'self' }, root_hooks: false } });
    await rig.start();
    const { controller } = rig;
    const hooked = await rig.build('web', '1.0.0', SEALED, { 'probe.mjs': PROBE });
    await t.rejects(controller.stage(hooked), {
      code: 'policy_refused',
      message: 'web-1 does not run before_start, migrate, look of web as root',
    });
    t.strictSame(readdirSync(rig.home('web').releases), [], 'before it is a release');
    const plain = await rig.build('worker', '1.0.0', WORKER, { readme: '' });
    await controller.stage(plain);
    await controller.activate(plain);
    t.match(await controller.restart(plain), { changed: true });
  },
);

t.test('what is shared may not be led out of its place by the service', { skip: SKIP }, async (t) => {
  const outside = t.testdir();
  const rig = await openRig(t, { policy: { run_as: { '*': 'nobody' } } });
  await rig.start();
  const one = await rig.build('web', '1.0.0', { ...WORKER, shared: ['data'] }, { readme: '' });
  await rig.controller.stage(one);
  symlinkSync(outside, join(rig.home('web').shared, 'data', 'nested'));
  for (const path of ['data/nested/deep', 'data/own/deep']) {
    const two = await rig.build('web', `2.0.0-${path.length}`, { ...WORKER, shared: [path] }, { readme: '' });
    await t.rejects(rig.controller.stage(two), {
      code: 'bad_archive',
      message: /no directory of the agent’s own/,
    });
  }
  t.strictSame(readdirSync(outside), []);
});

t.test('nothing of a service’s environment reaches what is still root', { skip: SKIP }, async (t) => {
  const { prefix, environment } = launchAs(NOBODY, {
    LD_PRELOAD: './mine.so',
    GCONV_PATH: '.',
    GREETING: 'hello',
  });
  t.strictSame(environment, { GREETING: 'hello' });
  t.strictSame(prefix.slice(-3), ['/usr/bin/env', 'LD_PRELOAD=./mine.so', 'GCONV_PATH=.']);
  t.match(prefix[0], /^\//, 'by its path, whatever the service’s PATH is');
});

t.test('what agent.yaml does not allow is refused before anything is touched', async (t) => {
  const rig = await openRig(t, { policy: { services: ['cubed-*'] } });
  const hello = await rig.start();
  t.match(hello.policy, { services: ['cubed-*'], runAs: { '*': 'self' }, root: rig.root });
  const { controller } = rig;
  const built = await rig.build('web', '1.0.0', WORKER, { readme: '' });
  const { version, identity } = built.manifest;
  const about = { service: 'web', version };
  const refused = {
    code: 'policy_refused',
    message: /^web-1 does not take web: its .*agent\.yaml allows cubed-\*$/,
  };
  const command = () => controller.command();
  await t.rejects(controller.stage(built), refused, 'offer');
  await t.rejects(controller.activate(built), refused, 'activate');
  await t.rejects(controller.restart(built), refused, 'restart');
  await t.rejects(controller.ask('release.commit', { command: command(), ...about, identity }), refused);
  await t.rejects(
    controller.ask('release.prune', { command: command(), service: 'web', keep: 2, protect: [] }),
    refused,
  );
  await t.rejects(controller.ask('step.stop', { command: command(), service: 'web' }), refused);
  await t.rejects(
    controller.ask('step.once', { command: command(), ...about, name: 'x', values: {} }),
    refused,
  );
  await t.rejects(controller.ask('check.smoke', { ...about, values: {}, skip: [], onceOnly: true }), refused);
  t.match(await controller.ask('step.report', { service: 'web' }), { state: 'stopped', current: null });
  t.strictSame(readdirSync(rig.root), [], 'not even its folder is made');
});

/** Tries, as fast as it can, to get something in or out of where the agent works; says what it could do. */
const RACER = `
  import { linkSync, mkdirSync, openSync, readdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
  import { join } from 'node:path';
  const [root, data, outside] = process.argv.slice(1);
  const home = join(root, 'web');
  const done = new Set();
  const attempt = (what, act) => { try { act(); done.add(what); } catch {} };
  const names = (directory) => { try { return readdirSync(directory); } catch { return []; } };
  let rounds = 0;
  process.on('SIGTERM', () => { writeSync(1, JSON.stringify({ rounds, done: [...done] })); process.exit(0); });
  const round = () => {
    for (const directory of [root, data, home, ...['staging', 'releases', 'manifests', 'sealed', 'stats', 'run', 'shared'].map((name) => join(home, name))]) {
      attempt('link into ' + directory, () => symlinkSync(outside, join(directory, 'planted')));
      attempt('folder in ' + directory, () => mkdirSync(join(directory, 'made')));
      attempt('file in ' + directory, () => writeFileSync(join(directory, 'written'), ''));
      if (directory !== root && directory !== home && directory !== join(home, 'releases') && directory !== join(home, 'shared'))
        attempt('list ' + directory, () => readdirSync(directory));
      for (const name of names(directory)) {
        const path = join(directory, name);
        attempt('rename ' + path, () => renameSync(path, path + '.gone'));
        attempt('remove ' + path, () => unlinkSync(path));
        attempt('write ' + path, () => openSync(path, 'r+'));
        attempt('link to ' + path, () => linkSync(path, join(outside, 'linked')));
        attempt('link in ' + path, () => symlinkSync(outside, join(path, 'planted')));
      }
    }
    rounds += 1;
    setImmediate(round);
  };
  round();
`;

t.test(
  'another user of this host, who races against every step, changes and learns nothing',
  { skip: SKIP },
  async (t) => {
    const rig = await openRig(t, { policy: { run_as: { '*': 'self' }, root_hooks: true } });
    await rig.start();
    const outside = t.testdir({ file: 'mine' });
    const { prefix, environment } = launchAs(NOBODY, {});
    const argv = [process.execPath, '--input-type=module', '-e', RACER];
    const where = [rig.root, join(rig.root, '..', 'data'), outside];
    const [program = '', ...rest] = [...prefix, ...argv, '--', ...where];
    const racer = spawn(program, rest, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => racer.kill('SIGKILL'));
    let said = '';
    racer.stdout.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const until = performance.now() + 4000;
    let version = 0;
    while (version < 3 || performance.now() < until) {
      version += 1;
      const built = await rig.build(
        'web',
        `1.0.${version}`,
        { ...WORKER, shared: ['data'] },
        { 'd/f': `${version}`, 'data/x': '' },
      );
      await rig.controller.stage(built);
      await rig.controller.activate(built);
      t.equal(readFileSync(join(rig.home('web').current, 'd/f'), 'utf8'), `${version}`);
    }
    racer.kill('SIGTERM');
    await once(racer, 'close');
    const { rounds, done } = JSON.parse(said) as { rounds: number; done: string[] };
    t.ok(rounds > 0, `${rounds} rounds during ${version} releases`);
    t.strictSame(done, []);
    t.strictSame(readdirSync(outside), ['file']);
  },
);

function inGroup(group: number): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return Number(fields[2]) === group && fields[0] !== 'Z';
    } catch {
      return false;
    }
  });
}
