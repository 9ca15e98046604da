/** Catching up and being taken out, by the real deployer on hosts in memory. */
import t, { type Test } from 'tap';
import { CatchUp } from './catchUp.ts';
import { type Fleet, fleets, MIGRATING, NEW, OLD, type Setting } from './fleet.fixture.ts';
import { removeHost } from './removeHost.ts';
import { keepOut, takeOut } from './takeOut.ts';

const makeFleet = await fleets(t);
const SERVICE = 'segmenter';

async function scene(t: Test, setting: Setting = {}) {
  const fleet = await makeFleet(t, setting);
  /** Looks, and sees through what begins, until nothing does; gives what has begun. */
  async function catchUp(): Promise<string[]> {
    const { deps, deployer, store } = await fleet.controller();
    const looking = new CatchUp(deps, deployer);
    const before = (await store.deployments.list({ limit: 1 }))[0]?.id ?? 0;
    for (let count = before; ; ) {
      await looking.look();
      await deployer.idle();
      const newest = (await store.deployments.list({ limit: 1 }))[0]?.id ?? 0;
      if (newest === count) break;
      count = newest;
      if (count > before + 10) throw new Error('it does not end');
    }
    const begun = (await store.deployments.list({ limit: 20 })).filter(({ id }) => id > before).reverse();
    return begun.map(({ by, version, state, request }) => {
      const { hosts = [] } = request as { hosts?: string[] };
      return `${by} ${hosts.join(',')} ${version} ${state}`;
    });
  }
  async function standing(host: string) {
    const { deps, deployer } = await fleet.controller();
    const looking = new CatchUp(deps, deployer);
    await looking.look();
    return looking.standingOf({ service: SERVICE, environment: 'production' }, host)?.standing;
  }
  return { fleet, catchUp, standing };
}

/** As a machine that has nothing yet, and that no balancer knows. */
async function renew(fleet: Fleet, name: string): Promise<void> {
  const { store } = await fleet.controller();
  const record = (await store.hosts.list()).find(({ host }) => host === name)!;
  await store.hosts.forget(name);
  await store.hosts.save({ ...record, instance: 'another', services: [] });
  fleet.host(name).staged.clear();
  Object.assign(fleet.host(name), { current: null, running: null });
  fleet.balancer.admin.delete(name);
}

const CYCLE = ['stage', 'added', 'activate', 'restart', 'smoke', 'show'];

t.test('a new host is put in place, and users reach it only once it is smoke tested', async (t) => {
  const { fleet, catchUp, standing } = await scene(t, { balancer: { address: '{host}.example:80' } });
  await renew(fleet, 'c');
  await fleet.deploy(MIGRATING, { hosts: ['a', 'b'] });
  fleet.story();
  // It was there and not asked for: somebody means it. The next one goes to all.
  t.strictSame(await catchUp(), []);
  await fleet.deploy(NEW, { hosts: ['a', 'b', 'c'] });
  t.match(
    fleet.storyOf(...CYCLE).filter((line) => line.startsWith('c')),
    [`c stage ${NEW}`, 'c added', `c activate ${NEW}`, `c restart ${NEW}`, `c smoke ${NEW} passes`, 'c show'],
  );
  await renew(fleet, 'c');
  const { store } = await fleet.controller();
  t.strictSame(await catchUp(), [`fleet c ${NEW} succeeded`]);
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: NEW });
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
  t.strictSame(await store.hidden.list(), []);
  t.equal(await standing('c'), null);
  const audit = (await store.audit.list({ limit: 5 })).filter(({ who }) => who === 'fleet');
  t.match(audit, [{ what: 'deployments.start', outcome: 'done', details: { hosts: ['c'], version: NEW } }]);
});

t.test('a host back after two deployments, and what runs once does not run again', async (t) => {
  const { fleet, catchUp } = await scene(t);
  fleet.agents.disconnect('c');
  await fleet.deploy(NEW, { hosts: ['a', 'b'] });
  const recap = await fleet.deploy(MIGRATING, { hosts: ['a', 'b'] });
  t.match(recap.passedBy, [{ host: 'c', reason: 'away' }]);
  t.strictSame(await catchUp(), [], 'it is not there');
  fleet.agents.connect('c');
  fleet.story();
  t.strictSame(await catchUp(), [`fleet c ${MIGRATING} succeeded`]);
  t.strictSame(fleet.storyOf('once'), []);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
  t.strictSame(await catchUp(), [], 'nothing is left to do');
});

t.test('without a balancer, too', async (t) => {
  const { fleet, catchUp } = await scene(t, { balancer: false });
  fleet.agents.disconnect('c');
  await fleet.deploy(NEW, { hosts: ['a', 'b'] });
  fleet.agents.connect('c');
  t.strictSame(await catchUp(), [`fleet c ${NEW} succeeded`]);
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: NEW });
  const { deps } = await fleet.controller();
  t.match(await takeOut(deps, 'c', 'ann', 'its disk'), [{ outcome: 'ok', message: 'has no balancer' }]);
});

t.test('who is not shown takes nobody away by catching up', async (t) => {
  const { fleet, catchUp } = await scene(t, { hosts: ['a', 'b'], strategy: { patience: '5s' } });
  fleet.agents.trouble('b', 'step.restart', { kind: 'cut', when: 'after' }, { times: 1 });
  await fleet.deploy(NEW);
  const { deps } = await fleet.controller();
  // It may not: only one is shown.
  await t.rejects(takeOut(deps, 'a', 'ann', 'its disk'), { code: 'min_visible' });
  await deps.store.outHosts.add({ host: 'a', by: 'ann', why: 'its disk' });
  fleet.agents.connect('b');
  t.strictSame(await catchUp(), [`fleet b ${OLD} succeeded`], 'it goes back: nobody else says anything');
  t.strictSame(fleet.balancer.visible(), ['a', 'b']);
});

t.test('a host that died does not come back with what it had', async (t) => {
  const { fleet, catchUp } = await scene(t);
  fleet.agents.disconnect('c');
  await fleet.deploy(NEW, { hosts: ['a', 'b'] });
  await catchUp();
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c'], 'it serves users: only its agent is away');
  fleet.balancer.down.add('c');
  await catchUp();
  fleet.balancer.down.delete('c');
  t.strictSame(fleet.balancer.visible(), ['a', 'b'], 'it is up again, with the old version');
  fleet.agents.connect('c');
  t.strictSame(await catchUp(), [`fleet c ${NEW} succeeded`]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('a host that is lost in the middle, and comes back after the deployment has ended', async (t) => {
  for (const [lost, others] of [
    ['a', OLD],
    ['c', NEW],
  ] as const) {
    const { fleet, catchUp, standing } = await scene(t, { strategy: { patience: '5s' } });
    fleet.agents.trouble(lost, 'step.restart', { kind: 'cut', when: 'after' }, { times: 1 });
    t.match(await fleet.deploy(NEW), { exit: 1, state: 'failed' });
    t.notOk(fleet.balancer.visible().includes(lost));
    t.match(await standing(lost), { state: 'behind', why: /not connected/ });
    fleet.agents.connect(lost);
    t.strictSame(await catchUp(), [`fleet ${lost} ${others} succeeded`]);
    t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
    t.strictSame(fleet.running(), { a: others, b: others, c: others });
  }
});

t.test('where the others differ by then, it goes back; and a retry brings all there', async (t) => {
  const { fleet, catchUp } = await scene(t, { strategy: { patience: '5s' } });
  fleet.agents.trouble('b', 'step.restart', { kind: 'cut', when: 'after' }, { times: 1 });
  const { deployment } = await fleet.deploy(NEW);
  fleet.agents.connect('b');
  t.strictSame(await catchUp(), [`fleet b ${OLD} succeeded`]);
  t.strictSame(fleet.running(), { a: NEW, b: OLD, c: OLD });
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
  t.strictSame(await catchUp(), []);
  await fleet.retry(deployment);
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: NEW });
});

t.test('a host that does not get well stays hidden, and is not tried for ever', async (t) => {
  const { fleet, catchUp, standing } = await scene(t);
  fleet.agents.disconnect('c');
  await fleet.deploy(NEW, { hosts: ['a', 'b'] });
  fleet.agents.connect('c');
  fleet.agents.sicken('c', NEW);
  t.strictSame(await catchUp(), [`fleet c ${NEW} failed`]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b']);
  t.equal(fleet.host('c').running, NEW, 'what it had is not what its environment is on');
  t.match(await standing('c'), { state: 'behind', next: /^fleet retry \d+$/ });
  const { store } = await fleet.controller();
  const record = (await store.hosts.list()).find(({ host }) => host === 'c')!;
  await store.hosts.save({ ...record, bootId: 'another' });
  fleet.agents.heal('c', NEW);
  t.strictSame(await catchUp(), [`fleet c ${NEW} succeeded`], 'it has another boot');
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test(
  'nobody is disturbed while the lock is taken, and a crash in the middle is gone on from',
  async (t) => {
    const { fleet, catchUp, standing } = await scene(t);
    fleet.agents.disconnect('c');
    await fleet.deploy(NEW, { hosts: ['a', 'b'] });
    fleet.agents.connect('c');
    const held = Promise.withResolvers<void>();
    fleet.agents.trouble('a', 'release.offer', { kind: 'held', until: held.promise }, { times: 1 });
    const { deployer } = await fleet.controller();
    const id = await deployer.start({ service: SERVICE, version: OLD, hosts: ['a'], skipChecks: [] }, 'ann');
    t.match(await standing('c'), { state: 'catching_up', next: `fleet attach ${id}` });
    await deployer.abort(id, 'ann', undefined);
    held.resolve();
    await deployer.idle();
    // Parked in the middle, as by the end of a controller; the next one goes on.
    fleet.onAct = (line) => void (line.startsWith('c activate') && fleet.park());
    await catchUp();
    fleet.onAct = () => {};
    const next = await fleet.start();
    await next.deployer.takeUp();
    await next.deployer.idle();
    t.strictSame(fleet.running(), { a: NEW, b: NEW, c: NEW });
    t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
    t.strictSame(await catchUp(), []);
  },
);

t.test('a crash at any moment while a balancer takes in a new server', async (t) => {
  const { fleet } = await scene(t, {
    balancer: { address: '{host}.example:80' },
    strategy: { settle: '0s' },
  });
  for (let at = 1; ; at += 3) {
    await renew(fleet, 'c');
    const recap = await fleet.deploy(NEW, { hosts: ['c'] }, [{ at, how: 'crash' }]);
    t.match(recap, { exit: 0 }, `at ${at}`);
    t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
    const { store } = await fleet.controller();
    t.strictSame(await store.hidden.list(), []);
    const hide = (await store.steps.list(recap.deployment)).find(({ kind }) => kind === 'hide');
    t.match(hide, { memo: { foreign: false } }, 'it was not somebody else who put it there');
    if (!fleet.interrupted) break;
  }
});

t.test('out: hidden, passed by, and back only once it has caught up', async (t) => {
  const { fleet, catchUp } = await scene(t);
  const { deps, deployer, store } = await fleet.controller();
  t.match(await takeOut(deps, 'c', 'ann', 'its disk'), [
    { outcome: 'changed', message: /hidden, 2 visible/ },
  ]);
  t.match(await takeOut(deps, 'c', 'ann', 'its disk'), [{ outcome: 'ok', message: /already/ }]);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 0, passedBy: [{ host: 'c', reason: 'out' }] });
  t.strictSame(
    recap.hosts.map(({ host }) => host),
    ['a', 'b'],
  );
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: OLD });
  await t.rejects(deployer.start({ service: SERVICE, version: NEW, hosts: ['c'], skipChecks: [] }, 'ann'), {
    code: 'no_hosts',
    message: /out since .* by ann: its disk/,
    next: 'fleet hosts in c',
  });
  t.strictSame(await catchUp(), []);
  // Whoever reloads the balancer does not bring it back.
  fleet.balancer.admin.set('c', 'ready');
  await keepOut(deps);
  t.equal(fleet.balancer.admin.get('c'), 'maint');
  await store.outHosts.remove('c');
  t.strictSame(await catchUp(), [`fleet c ${NEW} succeeded`]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('no host is taken out where too few would be left, or while a deployment has it', async (t) => {
  const { fleet } = await scene(t, { strategy: { min_visible: 2 } });
  const { deps, deployer, store } = await fleet.controller();
  await takeOut(deps, 'c', 'ann', 'its disk');
  await t.rejects(takeOut(deps, 'b', 'ann', 'its disk'), { code: 'min_visible' });
  t.match(await store.outHosts.list(), [{ host: 'c' }]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b']);
  await store.outHosts.remove('c');
  const held = Promise.withResolvers<void>();
  fleet.agents.trouble('a', 'step.report', { kind: 'held', until: held.promise }, { times: 1 });
  const id = await deployer.start({ service: SERVICE, version: NEW, skipChecks: [] }, 'bob');
  await t.rejects(takeOut(deps, 'a', 'ann', 'its disk'), { code: 'locked', data: { deployment: id } });
  t.strictSame(await store.outHosts.list(), []);
  held.resolve();
  await deployer.idle();
});

t.test('a server that is gone, of a host that serves: it may be there by another name', async (t) => {
  const { fleet } = await scene(t, { balancer: { address: '{host}.example:80' } });
  fleet.balancer.static = true;
  fleet.balancer.admin.delete('b');
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    failure: { host: 'b', step: 'hide', code: 'balancer_unknown', next: /write a line for b/ },
  });
  const { store } = await fleet.controller();
  t.strictSame(await store.hidden.list(), []);
  t.strictSame(fleet.running(), { a: NEW, b: OLD, c: OLD }, 'it is not touched');
});

t.test('after a restore nobody is brought to what the backup says', async (t) => {
  const { fleet } = await scene(t);
  await renew(fleet, 'c');
  const { deps, deployer, store } = await fleet.controller();
  const restored = { ...deps, store: { ...store, restoredFrom: new Date().toISOString() } };
  const looking = new CatchUp(restored, deployer);
  await looking.look();
  await deployer.idle();
  t.equal(fleet.host('c').current, null);
});

t.test('removed: nothing of it is left', async (t) => {
  const { fleet } = await scene(t);
  const { deps, store } = await fleet.controller();
  fleet.balancer.sessions.set('c', 3);
  const { turns } = await removeHost(deps, { host: 'c', by: 'ann', why: 'sold' }, async () => {
    await store.hosts.forget('c');
  });
  t.match(
    turns.map(({ message }) => message),
    [/hidden/, /3 sessions were still open/, /stopped/, /out of backend/],
  );
  t.equal(fleet.host('c').running, null);
  t.notOk(fleet.balancer.admin.has('c'));
  t.strictSame(await store.hidden.list(), []);
  t.strictSame(await store.outHosts.list(), []);
});

t.test(
  'a balancer that takes in nobody while it runs: deployed, and out until somebody writes the line',
  async (t) => {
    const { fleet, catchUp, standing } = await scene(t, { balancer: { address: '{host}.example:80' } });
    fleet.balancer.static = true;
    await renew(fleet, 'c');
    t.strictSame(await catchUp(), [`fleet c ${OLD} succeeded`]);
    t.equal(fleet.host('c').running, OLD);
    t.match(await standing('c'), { state: 'behind', why: /write a line for c/ });
    const recap = await fleet.deploy(NEW);
    t.match(recap, { exit: 0 }, 'the environment goes on');
    t.match(recap.hosts[2], { host: 'c', running: NEW, notes: [/stays hidden/, /write a line for c/] });
    t.strictSame(await catchUp(), []);
    // A reload forgets one that was taken in; what users may reach by another name is not touched.
    fleet.balancer.static = false;
    fleet.balancer.admin.delete('b');
    t.strictSame(await catchUp(), [`fleet b ${NEW} succeeded`]);
    t.strictSame(fleet.balancer.visible(), ['a', 'b']);
  },
);

t.test('the services of a host come in the order of controller.yaml', async (t) => {
  const { fleet } = await scene(t);
  const { deps, store } = await fleet.controller();
  const { services } = deps.config.environments.production!;
  const both = { first: services[SERVICE]!, [SERVICE]: services[SERVICE]! };
  const config = { ...deps.config, environments: { production: { services: both } } };
  // As if the other one had been deployed to all, too.
  const of: typeof store.deployments.newestPlanned = async (_, environment) =>
    store.deployments.newestPlanned(SERVICE, environment);
  const deployments = new Proxy(store.deployments, {
    get: (target, name) => {
      if (name === 'newestPlanned') return of;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const points = { list: () => store.rollbackPoints.list(SERVICE, 'production') };
  const rollbackPoints = Object.assign(Object.create(store.rollbackPoints), points);
  await renew(fleet, 'c');
  const begun: string[] = [];
  const looking = new CatchUp(
    { ...deps, config, store: { ...store, deployments, rollbackPoints } },
    { catchUp: async ({ service, host }) => begun.push(`${service} on ${host}`) },
  );
  await looking.look();
  t.strictSame(begun, ['first on c'], 'the second waits for it');
  const environment = 'production';
  t.match(looking.standingOf({ service: SERVICE, environment }, 'c')?.standing, {
    state: 'catching_up',
    why: /deployment 1 is first/,
  });
});
