import t from 'tap';
import { fleets, MIGRATING, NEW, OLD } from './fleet.fixture.ts';
import { SERVICE } from './shelf.fixture.ts';

const makeFleet = await fleets(t);

const asked = { service: SERVICE, version: NEW, skipChecks: [] };

t.test('a plan says what would be done, and does nothing', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  const plan = await deployer.plan(asked);
  t.match(plan, { service: SERVICE, environment: 'production', version: NEW, toBuild: null, noop: false });
  t.match(plan.phases, [
    { name: 'stage', lanes: [{ host: 'a' }, { host: 'b' }, { host: 'c' }] },
    { name: 'batch 1 of 3', lanes: [{ host: 'a', steps: [{ kind: 'hide', says: /leaving at least 1/ }] }] },
  ]);
  t.strictSame([plan.notes, plan.refusals], [[], []]);
  t.equal((await deployer.plan(asked)).digest, plan.digest, 'the same twice');

  fleet.configure({ values: { PORT: '9000' } });
  const again = (await fleet.start()).deployer;
  t.not((await again.plan(asked)).digest, plan.digest, 'another value is another plan');
  fleet.agents.disconnect('b');
  t.match(await again.plan({ ...asked, version: OLD }), { noop: false, notes: ['b is not connected'] });
  t.strictSame(fleet.story(), []);
  const { store } = await fleet.controller();
  t.equal((await store.deployments.list({ limit: 10 })).length, 1);
});

t.test('a plan of what has yet to be built', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  t.match(await deployer.plan({ service: SERVICE, skipChecks: [] }), {
    version: null,
    toBuild: 'main',
    notes: [/after the build/],
    phases: [{ name: 'stage' }, {}, {}, {}],
  });
});

t.test('what does not exist is refused before anything is stored', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, store } = await fleet.controller();
  const start = (more: object) => deployer.start({ ...asked, ...more }, 'ann');
  await t.rejects(start({ version: '9.9.9' }), { code: 'unknown_version', message: /segmenter 9\.9\.9/ });
  await t.rejects(start({ service: 'segmentr' }), { code: 'unknown_service', message: /segmenter/ });
  await t.rejects(start({ environment: 'staging' }), { code: 'unknown_environment' });
  await t.rejects(start({ hosts: ['d'] }), { code: 'unknown_host' });
  await t.rejects(deployer.rollback({ service: SERVICE, to: '9.9.9', skipChecks: [] }, 'ann'), {
    code: 'unknown_version',
  });
  t.equal((await store.deployments.list({ limit: 10 })).length, 1);
  t.strictSame(await store.locks.list(), []);
});

t.test('one deployment of a service at a time', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  const id = await deployer.start(asked, 'ann');
  await t.rejects(deployer.start(asked, 'bob'), {
    code: 'locked',
    message: /by ann since/,
    data: { deployment: id },
  });
  await t.rejects(deployer.rollback({ service: SERVICE, to: OLD, skipChecks: [] }, 'bob'), {
    code: 'locked',
  });
  await deployer.idle();
  t.ok(await deployer.start({ ...asked, version: OLD }, 'bob'));
  await deployer.idle();
});

t.test('a gate that is closed refuses it, and nothing changes', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a'], running: null });
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    state: 'refused',
    exit: 3,
    hosts: [],
    failure: { code: 'min_visible', next: /strategy: \{ min_visible: 0 \}/ },
  });
  t.strictSame(fleet.story(), []);
  const { deployer } = await fleet.controller();
  t.match((await deployer.plan(asked)).refusals, [{ code: 'min_visible' }], 'the plan says it before');
});

t.test('what changes nothing is not refused', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a'], strategy: { min_visible: 0 } });
  fleet.configure({ strategy: { min_visible: 1 } });
  await fleet.start();
  t.match(await fleet.deploy(OLD), { exit: 0, hosts: [{ running: OLD }] });
});

t.test('what a gate refuses does not cost a build', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a'], running: null });
  const { deployer, store } = await fleet.controller();
  const id = await deployer.start({ service: SERVICE, skipChecks: [] }, 'ann');
  await deployer.idle();
  t.match(await store.deployments.get(id), { state: 'refused', failure: { code: 'min_visible' } });
});

t.test('checks can be skipped by name', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.sicken('b', NEW);
  t.match(await fleet.deploy(NEW, { skipChecks: ['answres'] }), {
    state: 'failed',
    exit: 2,
    failure: { code: 'unknown_check', next: 'its checks are answers' },
  });
  t.equal((await fleet.deploy(NEW, { skipChecks: ['answers'] })).exit, 0);
});

t.test('aborted before there is a plan: nothing is planned', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  fleet.agents.trouble('a', 'step.report', { kind: 'slow', ms: 3000 });
  void fleet.clock.sleep(1000).then(() => deployer.abort(2, 'bob', 'a mistake'));
  t.match(await fleet.deploy(NEW), { state: 'aborted', exit: 1, hosts: [], failure: { code: 'aborted' } });
  t.strictSame(fleet.story(), []);
});

t.test('aborted before there is a plan, and then the controller dies', async (t) => {
  const fleet = await makeFleet(t);
  const { store } = await fleet.controller();
  const about = {
    kind: 'deploy',
    service: SERVICE,
    environment: 'production',
    by: 'ann',
    why: null,
  } as const;
  const id = await store.deployments.begin({ ...about, request: asked });
  await store.deployments.abort(id);
  const next = await fleet.start();
  await next.deployer.resume();
  await next.deployer.idle();
  t.match(await next.store.deployments.get(id), { state: 'aborted', failure: { code: 'aborted' } });
  t.strictSame(await next.store.locks.list(), []);
  t.strictSame(fleet.faults, []);
});

t.test('a controller that is stopping begins nothing', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, parking, store } = await fleet.controller();
  parking.abort();
  await t.rejects(deployer.start(asked, 'ann'), { code: 'stopping' });
  t.strictSame(await store.locks.list(), []);
});

t.test('a rollback that nobody asked a version of', async (t) => {
  const fleet = await makeFleet(t);
  await t.rejects(fleet.rollback(), { code: 'no_rollback_point', message: /on a, b, c/ });
  await fleet.deploy(NEW, { hosts: ['a', 'b'] });
  await fleet.deploy(MIGRATING, { hosts: ['a'] });
  t.match(await fleet.rollback({ hosts: ['a'] }), { version: NEW, hosts: [{ host: 'a', running: NEW }] });
  t.match(await fleet.rollback(), { version: OLD, exit: 0 }, 'the newest that all three have had');
});

t.test('a build that fails ends the deployment with its reason', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, store } = await fleet.controller();
  const id = await deployer.start({ service: SERVICE, skipChecks: [] }, 'ann');
  await deployer.idle();
  t.match(await store.deployments.get(id), { state: 'failed', failure: { code: 'source_failed' } });
  const events = (await store.events.after(0, `deployment/${id}`, 10)).map(({ event }) => event.type);
  t.equal(events[0], 'build.started');
  t.strictSame(events.slice(-2), ['build.ended', 'deployment.ended']);
  t.strictSame(fleet.story(), []);
});
