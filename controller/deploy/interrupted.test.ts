/** Hooks that may not run twice and were interrupted: the deployment waits, and people decide. */
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { abandonUnfinished } from './abandon.ts';
import { computeRecap } from './finish.ts';
import { type Fleet, fleets, MIGRATING, NEW, OLD, type Setting } from './fleet.fixture.ts';
import { SERVICE } from './shelf.fixture.ts';

t.setTimeout(600_000);
const makeFleet = await fleets(t);
const ID = 2;

/** A deployment that waits: the agent of `a` died in the middle of a hook. */
async function waiting(t: Test, { version = NEW, ...setting }: Setting & { version?: string } = {}) {
  const fleet = await makeFleet(t, setting);
  const { deployer } = await fleet.controller();
  const once = version === MIGRATING;
  fleet.agents.trouble(
    'a',
    once ? 'step.once' : 'step.restart',
    { kind: 'dies', during: once ? 'migrate' : 'after_start' },
    { version, times: 1 },
  );
  await deployer.start({ service: SERVICE, version, skipChecks: [] }, 'ann');
  await untilWaiting(fleet);
  return fleet;
}

async function untilWaiting(fleet: Fleet): Promise<void> {
  const { store } = await fleet.controller();
  const waits = await store.events.until(`deployment/${ID}`, AbortSignal.timeout(30_000), async () => {
    const { state, endedAt } = await store.deployments.get(ID);
    return state === 'waiting' || endedAt !== null ? state : undefined;
  });
  if (waits !== 'waiting') throw new Error(`deployment ${ID} does not wait: ${waits ?? 'it hangs'}`);
  // Whatever could happen in a minute.
  for (let seconds = 0; seconds < 60; seconds++) await fleet.clock.sleep(1000);
}

async function ended(t: Test, fleet: Fleet) {
  const { deployer, store } = await fleet.controller();
  await deployer.idle();
  t.strictSame([fleet.faults, await store.locks.list()], [[], []]);
  return computeRecap(ID, { store });
}

async function told(fleet: Fleet) {
  const { store } = await fleet.controller();
  return (await store.events.after(0, `deployment/${ID}`, 1000)).map(({ event }) => event);
}

t.test('it waits: the host stays hidden, no other is begun, and it says for what', async (t) => {
  const fleet = await waiting(t);
  const { deployer, store } = await fleet.controller();
  t.strictSame(fleet.storyOf('hide', 'show', 'repeats', 'skips'), ['a hide']);
  t.strictSame(fleet.balancer.visible(), ['b', 'c']);
  t.match(await store.hidden.list(), [{ host: 'a', deployment: ID }]);
  t.match(await store.deployments.get(ID), { state: 'waiting', failure: null, endedAt: null });
  t.match(await computeRecap(ID, { store }), {
    state: 'running',
    hosts: [
      { host: 'a', failed: 0, notes: ['after_start of 1.1.0 was interrupted, and waits for a person'] },
      {},
      {},
    ],
    interruptions: [{ host: 'a', hook: 'after_start', version: NEW, run: 1, decision: null }],
  });
  t.match((await told(fleet)).at(-1), { type: 'step.waiting', host: 'a', hook: 'after_start', version: NEW });

  const request = { service: SERVICE, version: NEW, skipChecks: [] };
  await t.rejects(deployer.start(request, 'bob'), { code: 'locked', message: /waiting for a person/ });
  await t.rejects(deployer.resume(ID, 'bob', undefined), { code: 'not_paused', message: /it is waiting/ });
  await t.rejects(deployer.skip(ID, 'bob', { host: 'b' }), { code: 'not_waiting', message: /for b/ });
  await t.rejects(deployer.skip(1, 'bob'), { code: 'not_running' });
});

for (const [take, act] of [
  ['skip', 'skips'],
  ['retry', 'repeats'],
] as const) {
  t.test(`${take}: it goes on, all is well, and the recap says what was decided`, async (t) => {
    const fleet = await waiting(t);
    const { deployer, store } = await fleet.controller();
    fleet.story();
    await deployer[take](ID, 'ann', { why: 'I looked' });
    const { exit, state, hosts, interruptions } = await ended(t, fleet);
    t.strictSame([exit, state], [0, 'succeeded']);
    t.strictSame(fleet.story().slice(0, 2), [`a ${act} after_start`, 'a restart 1.1.0']);
    const how = take === 'skip' ? 'skipped it' : 'had it run again';
    t.strictSame(hosts[0]?.notes, [`after_start of 1.1.0 was interrupted; ann ${how}: I looked`]);
    const decision = {
      take: take === 'skip' ? ('done' as const) : ('again' as const),
      by: 'ann',
      why: 'I looked',
    };
    t.match(interruptions, [{ host: 'a', decision }]);
    t.match(
      (await told(fleet)).find(({ type }) => type === 'step.decided'),
      { host: 'a', hook: 'after_start', version: NEW, ...decision },
    );
    await t.rejects(deployer.skip(ID, 'ann'), { code: 'not_running' });
    t.equal((await store.deployments.list({ limit: 9 })).length, 2, 'no other deployment was begun');
  });
}

t.test('interrupted again when it is run again: it waits again', async (t) => {
  const fleet = await waiting(t);
  const { deployer } = await fleet.controller();
  fleet.agents.trouble('a', 'step.restart', { kind: 'dies', during: 'after_start' }, { times: 1 });
  await deployer.retry(ID, 'ann');
  await untilWaiting(fleet);
  await deployer.skip(ID, 'bob');
  const { exit, hosts, interruptions } = await ended(t, fleet);
  t.equal(exit, 0);
  t.strictSame(fleet.storyOf('dies', 'repeats', 'skips'), [
    'a dies during after_start',
    'a repeats after_start',
    'a dies during after_start',
    'a skips after_start',
  ]);
  t.match(hosts[0]?.notes, [/ann had it run again$/, /bob skipped it$/]);
  t.match(interruptions, [{ run: 1 }, { run: 2 }]);
});

t.test('the answer to a decision is lost: it is not taken twice', async (t) => {
  const fleet = await waiting(t);
  const { deployer } = await fleet.controller();
  fleet.agents.trouble('a', 'step.restart', { kind: 'cut', when: 'after', backAfterMs: 2000 }, { times: 1 });
  await deployer.retry(ID, 'ann');
  t.equal((await ended(t, fleet)).exit, 0);
  t.strictSame(fleet.storyOf('repeats'), ['a repeats after_start']);
});

t.test('an agent that does not take the decision is not asked for ever', async (t) => {
  const fleet = await waiting(t);
  const { deployer } = await fleet.controller();
  const { hook, version } = { hook: 'after_start', version: NEW };
  const deaf = new FleetError('hook_interrupted', 'interrupted', { data: { hook, version, run: 1 } });
  fleet.agents.trouble('a', 'step.restart', { kind: 'refuses', error: deaf }, { version: NEW });
  await deployer.skip(ID, 'ann');
  t.match(await ended(t, fleet), { exit: 5, failure: { code: 'hook_interrupted' } });
});

t.test('abort: the host goes back, and it is said that nobody decided', async (t) => {
  const fleet = await waiting(t);
  const { deployer } = await fleet.controller();
  fleet.story();
  t.equal(await deployer.abort(ID, 'bob', 'too risky'), 'aborting');
  await t.rejects(deployer.skip(ID, 'ann'), { code: /not_waiting|not_running/ });
  t.match(await ended(t, fleet), {
    state: 'aborted',
    exit: 5,
    failure: { host: 'a', step: 'restart', code: 'hook_interrupted', next: /look on a/ },
    hosts: [
      {
        host: 'a',
        failed: 1,
        rescued: 1,
        running: OLD,
        notes: ['after_start of 1.1.0 was interrupted, and nobody knows how far it came'],
      },
      { ok: 0 },
      { ok: 0 },
    ],
  });
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
  t.match(
    (await told(fleet)).find((event) => event.type === 'note' && event.text.startsWith('bob')),
    { text: 'bob aborts it: too risky; nobody decides about after_start of 1.1.0 on a' },
  );
});

t.test('a once step: nothing is hidden while it waits, and an abort has touched no host', async (t) => {
  const fleet = await waiting(t, { version: MIGRATING });
  t.strictSame(fleet.storyOf('hide'), []);
  const { deployer } = await fleet.controller();
  await deployer.abort(ID, 'bob', undefined);
  t.match(await ended(t, fleet), { state: 'aborted', exit: 5 });
  t.strictSame(fleet.storyOf('hide', 'activate'), []);

  const other = await waiting(t, { version: MIGRATING });
  await (await other.controller()).deployer.skip(ID, 'bob');
  t.match(await ended(t, other), { exit: 0, version: MIGRATING });
  const { store } = await other.controller();
  const once = (await store.steps.list(ID)).find(({ kind }) => kind === 'once');
  t.match(once, { outcome: 'ok', message: /^migrate counts as done/ });
});

t.test('two hosts of a batch wait, and are decided about one by one', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b', 'c'], strategy: { batch: ['2'] } });
  const { deployer, store } = await fleet.controller();
  for (const host of ['a', 'b'])
    fleet.agents.trouble(host, 'step.restart', { kind: 'dies', during: 'before_start' }, { times: 1 });
  await deployer.start({ service: SERVICE, version: NEW, skipChecks: [] }, 'ann');
  await untilWaiting(fleet);
  t.equal((await store.interruptions.list(ID)).length, 2);
  await deployer.skip(ID, 'ann', { host: 'b' });
  while (!fleet.balancer.visible().includes('b')) await fleet.clock.sleep(100);
  await untilWaiting(fleet);
  t.strictSame(fleet.balancer.visible(), ['b', 'c'], 'the one goes to its end, the other waits');
  await deployer.retry(ID, 'ann', { host: 'a' });
  t.equal((await ended(t, fleet)).exit, 0);
  t.strictSame(fleet.storyOf('repeats', 'skips'), ['b skips before_start', 'a repeats before_start']);
});

t.test('paused while it waits: it stays paused behind the decision', async (t) => {
  const fleet = await waiting(t);
  const { deployer, store } = await fleet.controller();
  await deployer.pause(ID, 'bob', undefined);
  t.match(await store.deployments.get(ID), { state: 'waiting', isPaused: true });
  t.equal(await deployer.skip(ID, 'ann'), 'paused');
  for (let seconds = 0; seconds < 60; seconds++) await fleet.clock.sleep(1000);
  t.strictSame(fleet.storyOf('hide'), ['a hide']);
  await deployer.resume(ID, 'bob', undefined);
  t.equal((await ended(t, fleet)).exit, 0);
});

t.test('interrupted on the way back: it waits too, and an abort leaves the host hidden', async (t) => {
  for (const take of ['skip', 'abort'] as const) {
    const fleet = await makeFleet(t);
    const { deployer } = await fleet.controller();
    fleet.agents.sicken('a', NEW);
    fleet.agents.trouble(
      'a',
      'step.restart',
      { kind: 'dies', during: 'before_start' },
      { version: OLD, times: 1 },
    );
    await deployer.start({ service: SERVICE, version: NEW, skipChecks: [] }, 'ann');
    await untilWaiting(fleet);
    if (take === 'skip') {
      await deployer.skip(ID, 'bob');
      t.match(await ended(t, fleet), {
        state: 'restored',
        exit: 5,
        hosts: [{ rescued: 1, running: OLD }, {}, {}],
      });
    } else {
      await deployer.abort(ID, 'bob', undefined);
      const { exit, hosts } = await ended(t, fleet);
      t.match([exit, hosts[0]], [1, { failed: 2, rescued: 0 }]);
      t.match(hosts[0]?.notes, [/^before_start of 1\.0\.0 was interrupted, and nobody/, /^stays hidden/]);
      t.strictSame(fleet.balancer.visible(), ['b', 'c']);
    }
  }
});

t.test('aborted before it is interrupted: nobody is asked', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  fleet.agents.trouble(
    'a',
    'step.restart',
    { kind: 'dies', during: 'after_start' },
    { version: NEW, times: 1 },
  );
  fleet.onAct = (line) => {
    if (line === 'a hide') void deployer.abort(ID, 'bob', undefined);
  };
  t.match(await fleet.deploy(NEW), {
    state: 'aborted',
    exit: 5,
    hosts: [{ running: OLD, rescued: 1 }, {}, {}],
  });
  t.strictSame(
    (await told(fleet)).filter(({ type }) => type === 'step.waiting'),
    [],
  );
});

t.test('it waits over restarts of the controller, also where the agent is away', async (t) => {
  const fleet = await waiting(t);
  fleet.story();
  fleet.agents.disconnect('a');
  for (let restarts = 1; restarts <= 2; restarts++) {
    const { deployer } = await fleet.start();
    await deployer.takeUp();
    await untilWaiting(fleet);
    t.match((await told(fleet)).filter(({ type }) => type === 'note').at(-1), {
      text: /still waits for a person: fleet retry 2, fleet skip 2 or fleet abort 2$/,
    });
  }
  t.strictSame(fleet.story(), []);
  fleet.agents.connect('a');
  await (await fleet.controller()).deployer.skip(ID, 'ann');
  t.equal((await ended(t, fleet)).exit, 0);
  t.equal((await told(fleet)).filter(({ type }) => type === 'step.waiting').length, 1, 'said once');
});

t.test(
  'a backup that was made while it waited: it is not gone on with, and nobody is asked any more',
  async (t) => {
    const fleet = await waiting(t);
    const { deployer, store } = await fleet.start();
    t.strictSame(await abandonUnfinished(store, '2026-01-01'), [ID]);
    t.match(await store.deployments.get(ID), { state: 'failed', exit: 1 });
    const { hosts } = await computeRecap(ID, { store });
    t.match(hosts[0]?.notes[0], 'after_start of 1.1.0 was interrupted, and nobody knows how far it came');
    await t.rejects(deployer.skip(ID, 'ann'), { code: 'not_running' });
  },
);

for (const [how, every] of [
  ['park', 7],
  ['crash', 4],
] as const) {
  t.test(`${how} at moments from the interruption to the end`, async (t) => {
    const setting = { hosts: ['a'], strategy: { settle: '400ms', min_visible: 0 } };
    // The moments before are those of any deployment.
    for (let at = 40; ; at += every) {
      const fleet = await makeFleet(t, setting);
      fleet.agents.trouble(
        'a',
        'step.restart',
        { kind: 'dies', during: 'after_start' },
        { version: NEW, times: 1 },
      );
      let controller = await fleet.start({ at, how });
      let lives = 1;
      const request = { service: SERVICE, version: NEW, skipChecks: [] };
      await controller.moments.unlessDead(() => controller.deployer.start(request, 'ann'));
      for (;;) {
        const { moments, deployer, parking, store } = controller;
        const over = new AbortController();
        const state = store.events.until(`deployment/${ID}`, over.signal, async () => {
          const now = await store.deployments.get(ID);
          if (now.state === 'waiting' || now.endedAt !== null) return now.state;
          return parking.signal.aborted ? now.state : undefined;
        });
        await moments.unlessDead(() => Promise.race([state, deployer.idle()]));
        over.abort();
        const now = await store.deployments.get(ID);
        if (now.state === 'waiting' && !moments.dead && !parking.signal.aborted)
          await moments.unlessDead(() => deployer.retry(ID, 'ann').catch(ignoreDecided));
        await moments.unlessDead(() => (now.endedAt === null ? deployer.idle() : Promise.resolve()));
        if ((await store.deployments.get(ID)).endedAt !== null && !moments.dead) break;
        controller = await fleet.start();
        lives++;
        await controller.deployer.takeUp();
      }
      const { exit, interruptions } = await ended(t, fleet);
      t.equal(exit, 0, `${how} at ${at}`);
      t.strictSame(fleet.storyOf('dies', 'repeats', 'restart'), [
        'a dies during after_start',
        'a repeats after_start',
        'a restart 1.1.0',
      ]);
      t.match(interruptions, [{ decision: { take: 'again' } }]);
      t.equal((await told(fleet)).filter(({ type }) => type === 'step.waiting').length, 1);
      await fleet.stop();
      if (lives === 1) break;
    }
  });
}

function ignoreDecided(error: unknown): void {
  if (!(error instanceof FleetError) || error.code !== 'not_waiting') throw error;
}
