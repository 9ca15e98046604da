import t from 'tap';
import { note } from '../store/samples.fixture.ts';
import { fleets, MIGRATING, NEW, OLD } from './fleet.fixture.ts';
import { checkPolicies } from './policies.ts';
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

t.test(
  'a host that does not take the service, by its own word, is refused before anything is stored',
  async (t) => {
    const fleet = await makeFleet(t);
    const { deployer, store } = await fleet.controller();
    const policy = { user: 'root', root: '/srv/fleet', services: ['cubed-*'], runAs: { '*': 'self' } };
    fleet.agents.of('b').policy = { ...policy, rootHooks: false, labels: {} };
    const refused = {
      code: 'policy_refused',
      message: /b takes only cubed-\*$/,
      next: /fleet hosts show b.*services/,
    };
    await t.rejects(deployer.start(asked, 'ann'), refused);
    await t.rejects(deployer.plan(asked), refused);
    await t.rejects(deployer.rollback({ service: SERVICE, to: OLD, skipChecks: [] }, 'ann'), refused);
    t.equal((await store.deployments.list({ limit: 10 })).length, 1);
    fleet.agents.of('b').policy = { ...policy, services: ['seg*'], runAs: {}, rootHooks: false, labels: {} };
    await t.rejects(deployer.plan(asked), {
      code: 'policy_refused',
      message: /b does not say as which user/,
    });
    fleet.agents.of('b').policy = {
      ...policy,
      services: ['seg*'],
      runAs: { [SERVICE]: 'app' },
      rootHooks: false,
      labels: {},
    };
    t.equal((await deployer.plan(asked)).version, NEW);
    checkPolicies(fleet.agents, 'fleet-agent', [{ host: 'b' }]);
    fleet.agents.of('b').policy = { ...policy, rootHooks: false, labels: {}, upgrades: false };
    t.throws(() => checkPolicies(fleet.agents, 'fleet-node', [{ host: 'a' }, { host: 'b' }]), {
      code: 'policy_refused',
      message: /: b does not let its agent be replaced$/,
      next: /`upgrades`/,
    });
  },
);

t.test('a host that a rehearsal has borrowed is nobody else’s, and gets no users', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, store } = await fleet.controller();
  const [, , c] = await store.hosts.list();
  fleet.balancer.admin.set('c', 'drain');
  await store.hosts.save({ ...c!, labels: { ...c!.labels, rehearsal: 'nightly' } });
  const hostsIn = (plan: Awaited<ReturnType<typeof deployer.plan>>) => [
    ...new Set(plan.phases.flatMap(({ lanes }) => lanes.map(({ host }) => host))),
  ];
  t.strictSame(hostsIn(await deployer.plan(asked)), ['a', 'b']);
  await t.rejects(deployer.plan({ ...asked, hosts: ['c*'] }), { code: 'unknown_host' });

  const alone = await deployer.plan({ ...asked, version: MIGRATING, hosts: ['c'] });
  const kinds = alone.phases.flatMap(({ lanes }) =>
    lanes.flatMap(({ steps }) => steps.map(({ kind }) => kind)),
  );
  t.strictSame(hostsIn(alone), ['c']);
  t.strictSame(kinds, ['stage', 'activate', 'restart', 'smoke', 'settle', 'record']);
  t.strictSame(alone.refusals, []);
  const recap = await fleet.deploy(MIGRATING, { hosts: ['c'] });
  t.match(recap, { state: 'succeeded', hosts: [{ host: 'c', running: MIGRATING }] });
  t.strictSame(fleet.storyOf('hide', 'out', 'show', 'once'), []);
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
  await store.deployments.abort(id, note('a mistake'));
  const next = await fleet.start();
  await next.deployer.takeUp();
  await next.deployer.idle();
  t.match(await next.store.deployments.get(id), { state: 'aborted', failure: { code: 'aborted' } });
  t.strictSame(await next.store.locks.list(), []);
  t.strictSame(fleet.faults, []);
});

t.test('paused before there is a plan, and then aborted', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  fleet.agents.trouble('a', 'step.report', { kind: 'slow', ms: 3000 });
  void fleet.clock
    .sleep(1000)
    .then(() => deployer.pause(2, 'bob', undefined))
    .then(() => deployer.abort(2, 'bob', undefined));
  t.match(await fleet.deploy(NEW), { state: 'aborted', exit: 1, hosts: [], failure: { code: 'aborted' } });
  t.strictSame(fleet.story(), []);
});

t.test('a retry is for just the hosts that did not succeed', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b', 'c', 'd'] });
  fleet.agents.sicken('b', NEW);
  t.match(await fleet.deploy(NEW, { soak: 0, roles: ['first', 'other'] }), { exit: 1 });
  fleet.story();
  t.match(
    await fleet.retry(2),
    {
      deployment: 3,
      exit: 5,
      version: NEW,
      hosts: [{ host: 'b', rescued: 1 }, { host: 'c' }, { host: 'd' }],
    },
    'rescued and never begun ones, and not the one that is well',
  );
  t.strictSame(fleet.storyOf('settle', 'hide'), ['b hide']);

  fleet.agents.heal('b', NEW);
  fleet.agents.trouble('c', 'step.restart', { kind: 'cut', when: 'before' });
  t.match(await fleet.retry(3, 'mended'), { exit: 1, hosts: [{ host: 'b' }, { unreachable: 1 }, {}] });
  fleet.agents.calm('c');
  fleet.agents.connect('c');
  t.match(await fleet.retry(4), { exit: 0, hosts: [{ host: 'c' }, { host: 'd' }] }, 'as is the lost one');
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: NEW, d: NEW });

  const { deployer, store } = await fleet.controller();
  t.match(await store.deployments.get(4), {
    kind: 'deploy',
    why: 'mended',
    request: { hosts: ['b', 'c', 'd'] },
  });
  t.match(await store.deployments.get(5), { why: 'retries deployment 4', request: { soak: 0 } });
  const notes = (await store.events.after(0, 'deployment/5', 1000)).filter(
    ({ event }) => event.type === 'note',
  );
  t.match(notes[0]?.event, { text: 'retries deployment 4' });
  t.equal(await deployer.retry(5, 'ann', undefined), null, 'every host succeeded: nothing to do');
  t.equal((await store.deployments.list({ limit: 10 })).length, 5);
});

t.test('a rollback is retried as one', async (t) => {
  const fleet = await makeFleet(t);
  await fleet.deploy(NEW);
  fleet.agents.sicken('b', OLD);
  t.match(await fleet.rollback(), { exit: 1, version: OLD });
  fleet.agents.heal('b', OLD);
  t.match(await fleet.retry(3), { exit: 0, version: OLD, hosts: [{ host: 'b' }, { host: 'c' }] });
  const { store } = await fleet.controller();
  t.match(await store.deployments.get(4), { kind: 'rollback', version: OLD });
});

t.test('once steps that ran are not run again by a retry, however often', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.sicken('b', MIGRATING);
  await fleet.deploy(MIGRATING);
  t.strictSame(fleet.storyOf('once'), ['a once migrate 1.2.0']);
  t.match(await fleet.retry(2), { exit: 5 });
  fleet.agents.heal('b', MIGRATING);
  t.match(await fleet.retry(3), { exit: 0 });
  t.strictSame(fleet.storyOf('once'), ['a once clean 1.2.0']);
  const { store } = await fleet.controller();
  const told = JSON.stringify(await store.events.after(0, 'deployment/4', 1000));
  t.match(told, 'migrate ran already, and will not run again');
});

t.test('what cannot be retried', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a'], strategy: { min_visible: 0 } });
  const { deployer, store } = await fleet.controller();
  const id = await deployer.start({ service: SERVICE, skipChecks: [] }, 'ann');
  await t.rejects(deployer.retry(id, 'bob', undefined), { code: 'locked', next: /fleet attach 2/ });
  await deployer.idle();
  await t.rejects(deployer.retry(id, 'bob', undefined), {
    code: 'not_planned',
    next: /fleet deploy segmenter/,
  });
  await t.rejects(deployer.retry(99, 'bob', undefined), { code: 'unknown_deployment' });
  t.equal((await store.deployments.list({ limit: 10 })).length, 2);
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
