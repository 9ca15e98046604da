import type { StepKind } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { computeRecap } from './finish.ts';
import { type Fleet, fleets, MIGRATING, NEW, OLD } from './fleet.fixture.ts';
import { SERVICE } from './shelf.fixture.ts';

const makeFleet = await fleets(t);

/** The story of one host that is given a version and does well. */
const done = (host: string, version: string) => [
  `${host} hide`,
  `${host} out`,
  `${host} activate ${version}`,
  `${host} restart ${version}`,
  `${host} smoke ${version} passes`,
  `${host} show`,
];
/** The way back of one that was hidden already. */
const back = (host: string, version: string) => done(host, version).slice(2);
const staged = (hosts: string[], version: string) => hosts.map((host) => `${host} stage ${version}`);

/** Waits until deployment 2 is planned and this step has ended, and for whatever could then happen in a minute. */
async function waitAfter(fleet: Fleet, host: string, kind: StepKind | null): Promise<void> {
  const { store } = await fleet.controller();
  await store.events.until('deployment/2', AbortSignal.timeout(30_000), async () => {
    const steps = await store.steps.list(2);
    const ended = steps.some(
      (step) => kind === null || (step.host === host && step.kind === kind && step.state === 'done'),
    );
    return ended || undefined;
  });
  for (let seconds = 0; seconds < 60; seconds++) await fleet.clock.sleep(1000);
}

t.test('all well: staged everywhere, then one host after the other', async (t) => {
  const fleet = await makeFleet(t);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { state: 'succeeded', exit: 0, failure: null });
  t.match(
    recap.hosts,
    ['a', 'b', 'c'].map((host) => ({
      host,
      ok: 8,
      changed: 2,
      failed: 0,
      skipped: 0,
      running: NEW,
      notes: [],
    })),
  );
  t.strictSame(fleet.story(), [
    ...staged(['a', 'b', 'c'], NEW),
    ...done('a', NEW),
    ...done('b', NEW),
    ...done('c', NEW),
  ]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('the same version with the same values is nothing to do', async (t) => {
  const fleet = await makeFleet(t);
  t.match(await fleet.deploy(OLD), { state: 'succeeded', exit: 0, hosts: [{ ok: 0, running: OLD }, {}, {}] });
  t.strictSame(fleet.story(), []);

  fleet.configure({ values: { PORT: '9000' } });
  await fleet.start();
  t.equal((await fleet.deploy(OLD)).exit, 0);
  t.strictSame(fleet.storyOf('restart'), ['a restart 1.0.0', 'b restart 1.0.0', 'c restart 1.0.0']);
});

t.test(
  'a version that runs everywhere and has fallen ill is not well, and is not restarted for being asked',
  async (t) => {
    const fleet = await makeFleet(t);
    fleet.agents.sicken('b', OLD);
    t.match(await fleet.deploy(OLD), {
      exit: 5,
      failure: { host: 'b', step: 'smoke', code: 'check_failed' },
    });
    t.strictSame(fleet.storyOf('hide', 'restart'), []);
  },
);

t.test('where a rollback would go is kept, whatever failed in between', async (t) => {
  const strategy = { on_failure: 'stop', min_visible: 0 };
  const fleet = await makeFleet(t, { hosts: ['a'], strategy });
  fleet.agents.sicken('a', NEW);
  t.equal((await fleet.deploy(NEW)).exit, 1);
  t.equal((await fleet.deploy(MIGRATING)).exit, 0);
  t.ok(fleet.host('a').kept.includes(OLD), 'the last that was good, although another was current since');
});

t.test('so it is on a host that went back', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { on_failure: 'rollback_all' } });
  t.equal((await fleet.deploy(MIGRATING)).exit, 0);
  fleet.agents.sicken('b', NEW);
  t.match(await fleet.deploy(NEW), { exit: 5, hosts: [{ rescued: 1, running: MIGRATING }, {}] });
  t.ok(fleet.host('a').kept.includes(OLD), 'what was good before the one that runs again');
});

t.test('a batch is out together, and never more than that', async (t) => {
  const hosts = ['a', 'b', 'c', 'd', 'e'];
  const fleet = await makeFleet(t, { hosts, strategy: { batch: ['1', '2'], min_visible: 3 } });
  const fewest: number[] = [];
  fleet.onAct = () => fewest.push(fleet.balancer.visible().length);
  const recap = await fleet.deploy(NEW);
  t.equal(recap.exit, 0);
  t.equal(Math.min(...fewest), 3);
  const restarts = fleet.storyOf('restart').map((line) => line[0]);
  t.equal(restarts[0], 'a');
  t.strictSame(restarts.slice(1, 3).sort(), ['b', 'c']);
  t.strictSame(restarts.slice(3).sort(), ['d', 'e']);
});

t.test('once steps run on one host, before the first is hidden and after the last is back', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], onceOn: 'b' });
  t.equal((await fleet.deploy(MIGRATING)).exit, 0);
  t.strictSame(fleet.story(), [
    ...staged(['a', 'b'], MIGRATING),
    `b once migrate ${MIGRATING}`,
    ...done('a', MIGRATING),
    ...done('b', MIGRATING),
    `b once clean ${MIGRATING}`,
  ]);
});

t.test('a once step that fails ends it before anybody is hidden', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
  const error = new FleetError('hook_failed', 'migrate ended with exit status 1');
  fleet.agents.trouble('a', 'step.once', { kind: 'refuses', error });
  t.match(await fleet.deploy(MIGRATING), {
    state: 'restored',
    exit: 5,
    failure: { host: 'a', step: 'once', code: 'hook_failed' },
  });
  t.strictSame(fleet.story(), staged(['a', 'b'], MIGRATING));
});

t.test('a once step that fails at the end is the environment’s, not its host’s', async (t) => {
  for (const onFailure of ['rollback_host', 'rollback_all'] as const) {
    const fleet = await makeFleet(t, { hosts: ['a', 'b'], onceOn: 'b', strategy: { on_failure: onFailure } });
    const error = new FleetError('hook_failed', 'clean ended with exit status 1');
    fleet.onAct = (line) => {
      if (line === 'b show') fleet.agents.trouble('b', 'step.once', { kind: 'refuses', error }, { times: 1 });
    };
    const recap = await fleet.deploy(MIGRATING);
    t.match(recap, { exit: onFailure === 'rollback_all' ? 5 : 1, failure: { host: 'b', step: 'once' } });
    const runs = onFailure === 'rollback_all' ? OLD : MIGRATING;
    t.strictSame(fleet.running(), { a: runs, b: runs }, onFailure);
    t.strictSame(fleet.balancer.visible(), ['a', 'b']);
  }
});

t.test('nothing is touched where a host is not there', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.disconnect('c');
  const before = fleet.clock.now();
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 1, failure: { host: 'c', step: 'stage', code: 'unreachable' } });
  t.match(recap.hosts, [
    { host: 'a', ok: 0, skipped: 8, running: OLD },
    { host: 'b', ok: 0, skipped: 8, running: OLD },
    { host: 'c', unreachable: 1, running: null },
  ]);
  t.strictSame(fleet.story(), staged(['a', 'b'], NEW));
  t.equal(fleet.clock.now() - before, 0, 'nobody waits for a host that was not there to begin with');
});

t.test(
  'a host that does not answer when it is planned has no known way back, and is not touched',
  async (t) => {
    const fleet = await makeFleet(t);
    fleet.agents.trouble('b', 'step.report', { kind: 'slow', ms: 6000 });
    const recap = await fleet.deploy(NEW);
    t.match(recap, {
      exit: 1,
      failure: { host: 'b', step: 'stage', code: 'unreachable', next: /deploy again/ },
    });
    t.strictSame(fleet.storyOf('hide', 'activate'), []);
    fleet.agents.calm('b');
    t.equal((await fleet.deploy(NEW)).exit, 0);
  },
);

t.test('a link that breaks when it is planned, and is soon there again, is no reason to fail', async (t) => {
  const fleet = await makeFleet(t);
  await fleet.start();
  fleet.agents.trouble('b', 'step.report', { kind: 'cut', when: 'before', backAfterMs: 4000 }, { times: 1 });
  t.match(await fleet.deploy(NEW), { exit: 0 });
});

t.test('agents of a controller that has just started get their time', async (t) => {
  const fleet = await makeFleet(t);
  await fleet.start();
  fleet.agents.disconnect('b', 4000);
  fleet.agents.sicken('b', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 1, hosts: [{}, { running: OLD, rescued: 1 }, {}] }, 'and their way back is known');
});

t.test('a host that is lost while staging and stays away is waited for once', async (t) => {
  const fleet = await makeFleet(t, { strategy: { patience: '20s' } });
  fleet.agents.trouble('c', 'send', { kind: 'cut', when: 'before' });
  const before = fleet.clock.now();
  t.match(await fleet.deploy(NEW), { exit: 1, failure: { host: 'c', code: 'unreachable' } });
  t.strictSame(fleet.storyOf('hide', 'activate', 'restart'), []);
  t.equal(fleet.clock.now() - before, 20_000);
});

t.test('a transfer that breaks goes on when the host is back', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.trouble('c', 'send', { kind: 'cut', when: 'before', backAfterMs: 3000 }, { times: 1 });
  t.equal((await fleet.deploy(NEW)).exit, 0);
});

t.test('nothing is touched where staging fails', async (t) => {
  const fleet = await makeFleet(t);
  const error = new FleetError('disk_full', 'b has 1 MB free, 1.1.0 takes 10', { next: 'make room' });
  fleet.agents.trouble('b', 'release.offer', { kind: 'refuses', error });
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    state: 'restored',
    exit: 5,
    failure: { host: 'b', step: 'stage', code: 'disk_full', next: 'make room' },
    hosts: [{ skipped: 8 }, { failed: 1, skipped: 8 }, { skipped: 8 }],
  });
  t.strictSame(fleet.story(), staged(['a', 'c'], NEW));
});

t.test('a smoke test that fails: the host goes back, later ones are not started', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.sicken('a', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { state: 'restored', exit: 5, failure: { host: 'a', step: 'smoke', code: 'check_failed' } });
  t.match(recap.hosts, [
    { host: 'a', failed: 1, rescued: 1, skipped: 3, running: OLD },
    { host: 'b', ok: 0, skipped: 8, running: OLD },
    { host: 'c', ok: 0, skipped: 8, running: OLD },
  ]);
  t.strictSame(fleet.story(), [
    ...staged(['a', 'b', 'c'], NEW),
    ...done('a', NEW).slice(0, 4),
    'a smoke 1.1.0 fails',
    ...back('a', OLD),
  ]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
  t.equal((await fleet.deploy(OLD)).hosts[0]?.ok, 0, 'what it went back to is what is recorded');
});

t.test('the second host fails: the first keeps the new version', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.sicken('b', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { state: 'failed', exit: 1, failure: { host: 'b' } });
  t.match(recap.hosts, [
    { running: NEW, failed: 0 },
    { running: OLD, rescued: 1 },
    { running: OLD, ok: 0 },
  ]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('rollback_all: those that were done well go back too, newest first, by the rules', async (t) => {
  const fleet = await makeFleet(t, { strategy: { on_failure: 'rollback_all' } });
  fleet.agents.sicken('c', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { state: 'restored', exit: 5 });
  t.strictSame(fleet.running(), { a: OLD, b: OLD, c: OLD });
  t.match(recap.hosts, [{ rescued: 1 }, { rescued: 1 }, { rescued: 1, failed: 1 }]);
  t.strictSame(fleet.story().slice(-16), [...back('c', OLD), ...done('b', OLD), ...done('a', OLD)]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);

  t.match(await fleet.deploy(OLD), { exit: 0, hosts: [{ ok: 0 }, { ok: 0 }, { ok: 0 }] }, 'nothing to do');
  await t.rejects(fleet.rollback(), { code: 'no_rollback_point' }, 'all have gone back from the new one');
});

t.test('rollback_all never hides the last host that is well', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { on_failure: 'rollback_all' } });
  // The second host fails with the new version, and its former one does not come up either.
  fleet.agents.sicken('b', NEW);
  fleet.agents.sicken('b', OLD);
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    exit: 1,
    hosts: [
      { running: NEW, failed: 1, rescued: 0 },
      { running: OLD, notes: [/stays hidden/] },
    ],
  });
  t.strictSame(fleet.balancer.visible(), ['a']);
});

t.test('on_failure stop: it is left as it is, and hidden', async (t) => {
  const fleet = await makeFleet(t, { strategy: { on_failure: 'stop' } });
  fleet.agents.sicken('a', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 1, hosts: [{ running: NEW, rescued: 0, notes: [/stays hidden/] }, {}, {}] });
  t.strictSame(fleet.story().slice(-1), ['a smoke 1.1.0 fails']);
  t.strictSame(fleet.balancer.visible(), ['b', 'c']);
});

t.test('a host that does not stay well is hidden again and goes back', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.sicken('a', NEW, 'settle');
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 5, failure: { step: 'settle' }, hosts: [{ failed: 1, rescued: 1 }, {}, {}] });
  t.strictSame(fleet.story(), [
    ...staged(['a', 'b', 'c'], NEW),
    ...done('a', NEW),
    'a hide',
    'a out',
    ...back('a', OLD),
  ]);
});

t.test('one unlucky look while settling is not a failure', async (t) => {
  const fleet = await makeFleet(t);
  let looks = 0;
  fleet.onAct = (line) => {
    if (line === 'a show' && ++looks === 1) {
      fleet.agents.sicken('a', NEW, 'settle');
      void fleet.clock.sleep(400).then(() => fleet.agents.heal('a', NEW));
    }
  };
  t.equal((await fleet.deploy(NEW)).exit, 0);
});

t.test('a host with nothing to go back to stays hidden, and is said to', async (t) => {
  const fleet = await makeFleet(t, { running: null });
  fleet.agents.sicken('a', NEW);
  const recap = await fleet.deploy(NEW);
  t.match(recap, { state: 'failed', exit: 1, hosts: [{ rescued: 0, notes: [/stays hidden/] }, {}, {}] });
  t.strictSame(fleet.balancer.visible(), []);
  t.equal(fleet.balancer.stateOf('a').admin, 'maint');
  fleet.story();

  fleet.agents.heal('a', NEW);
  t.match(await fleet.deploy(NEW), { exit: 0 }, 'the next deployment brings it back');
  t.strictSame(fleet.story().slice(0, 3), [...done('a', NEW).slice(2, 3), ...done('a', NEW).slice(3, 5)]);
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('a way back that fails too leaves the host hidden', async (t) => {
  const fleet = await makeFleet(t);
  for (const version of [NEW, OLD]) fleet.agents.sicken('a', version);
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    exit: 1,
    failure: { step: 'smoke', message: /^1\.1\.0/ },
    hosts: [{ failed: 2, rescued: 0, notes: [/stays hidden/] }, {}, {}],
  });
  t.strictSame(fleet.balancer.visible(), ['b', 'c']);
});

t.test('shown and never reported up: verified, hidden, and not gone back', async (t) => {
  const fleet = await makeFleet(t);
  fleet.onAct = (line) => {
    if (line === 'a show') fleet.balancer.down.add('a');
  };
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    exit: 1,
    failure: { host: 'a', step: 'unhide', code: 'balancer_refused' },
    hosts: [{ failed: 1, rescued: 0, running: NEW, notes: [/stays hidden/] }, { running: OLD }, {}],
  });
  t.strictSame(fleet.storyOf('activate'), ['a activate 1.1.0']);

  fleet.onAct = () => {};
  fleet.balancer.down.clear();
  t.match(await fleet.deploy(NEW), { exit: 0, hosts: [{ notes: [] }, {}, {}] }, 'once the balancer finds it');
});

t.test('a balancer that does not answer for a moment is asked again to show a host', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
  fleet.onAct = (line) => {
    if (line !== 'a smoke 1.1.0 passes') return;
    fleet.balancer.unreachable = true;
    void fleet.clock.sleep(3000).then(() => {
      fleet.balancer.unreachable = false;
    });
  };
  t.match(await fleet.deploy(NEW), { exit: 0 });
  t.strictSame(fleet.balancer.visible(), ['a', 'b']);
});

t.test('a host that was left hidden stays so when it cannot be hidden again', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { on_failure: 'stop' } });
  fleet.agents.sicken('a', NEW);
  t.match(await fleet.deploy(NEW), { exit: 1, failure: { step: 'smoke' } });
  fleet.configure({ strategy: { on_failure: 'rollback_host', on_drain_timeout: 'fail', drain: '1s' } });
  await fleet.start();
  fleet.balancer.sessions.set('a', 1);
  t.match(await fleet.deploy(OLD, { hosts: ['a'] }), { exit: 5, failure: { step: 'drain' } });
  t.strictSame(fleet.balancer.visible(), ['b'], 'it runs what failed its smoke test');
});

t.test(
  'hosts that users do not reach come first: the last one that serves is not in their way',
  async (t) => {
    const fleet = await makeFleet(t, { strategy: { on_failure: 'stop', min_visible: 1 } });
    for (const host of ['b', 'c']) {
      fleet.agents.sicken(host, NEW);
      t.match(await fleet.deploy(NEW, { hosts: [host] }), { exit: 1, failure: { step: 'smoke' } });
    }
    t.strictSame(fleet.balancer.visible(), ['a']);
    fleet.story();
    t.match(await fleet.deploy(MIGRATING), { exit: 0, hosts: [{ host: 'b' }, { host: 'c' }, { host: 'a' }] });
    t.strictSame(fleet.storyOf('activate', 'once'), [
      'a once migrate 1.2.0',
      'b activate 1.2.0',
      'c activate 1.2.0',
      'a activate 1.2.0',
      'a once clean 1.2.0',
    ]);
  },
);

t.test('a host is told to be shown also where it is seen: what hides it may be on its way', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
  fleet.balancer.lies = true;
  t.match(await fleet.deploy(NEW), { exit: 5, failure: { step: 'hide' } });
  t.strictSame(fleet.storyOf('hide', 'show'), ['a hide', 'a show']);
});

t.test('a balancer that accepts and does nothing: no version is touched', async (t) => {
  const fleet = await makeFleet(t);
  fleet.balancer.lies = true;
  const recap = await fleet.deploy(NEW);
  t.match(recap, { exit: 5, failure: { host: 'a', step: 'hide', code: 'balancer_refused' } });
  t.strictSame(fleet.storyOf('activate', 'restart'), []);
});

t.test('a balancer that does not answer: no version is touched', async (t) => {
  const fleet = await makeFleet(t);
  fleet.balancer.unreachable = true;
  t.match(await fleet.deploy(NEW), { exit: 5, failure: { step: 'hide', code: 'balancer_unreachable' } });
  t.strictSame(fleet.storyOf('activate', 'restart'), []);
});

t.test('a host that somebody else hid stays as they left it', async (t) => {
  for (const admin of ['maint', 'drain'] as const) {
    const fleet = await makeFleet(t);
    fleet.balancer.admin.set('b', admin);
    const recap = await fleet.deploy(NEW);
    t.match(
      recap,
      { exit: 0, hosts: [{ host: 'b', running: NEW, notes: [/hidden by somebody else/] }, {}, {}] },
      admin,
    );
    t.equal(fleet.balancer.stateOf('b').admin, admin);
    t.notOk(
      fleet.story().some((line) => /^b (hide|out|show)/.test(line)),
      'the balancer is told nothing about it',
    );
    fleet.agents.sicken('b', OLD);
    t.match(await fleet.rollback({ to: OLD, hosts: ['b'] }), { exit: 5 }, 'also when it fails and goes back');
    t.equal(fleet.balancer.stateOf('b').admin, admin);
  }
});

t.test('a balancer that forgets whom it hides is told again, before the new version starts', async (t) => {
  const fleet = await makeFleet(t);
  fleet.onAct = (line) => {
    if (line.startsWith('b activate')) fleet.balancer.admin.set('b', 'ready');
  };
  t.match(await fleet.deploy(NEW), { exit: 0 });
  const acts = fleet.story().filter((line) => /^b (out|activate|restart|show)/.test(line));
  t.match(acts, [/out/, /activate/, /out/, /restart/, /show/]);
});

t.test('min_visible is what the balancer says at the moment', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { settle: '1s' } });
  fleet.agents.trouble('a', 'step.report', { kind: 'slow', ms: 1000 });
  fleet.onAct = (line) => {
    // It falls over after it was watched, while it is recorded, and before the next one is hidden.
    if (line === 'a show') void fleet.clock.sleep(1500).then(() => fleet.balancer.down.add('a'));
  };
  const recap = await fleet.deploy(NEW);
  t.match(recap, {
    exit: 1,
    failure: { host: 'b', step: 'hide', code: 'min_visible', next: /min_visible: 0/ },
  });
  t.strictSame(fleet.running(), { a: NEW, b: OLD });
  t.strictSame(fleet.balancer.visible(), ['b'], 'the last one that serves users is left alone');
});

t.test('open sessions are waited for, and then cut or respected', async (t) => {
  for (const onTimeout of ['go_on', 'fail'] as const) {
    const fleet = await makeFleet(t, { strategy: { drain: '10s', on_drain_timeout: onTimeout } });
    fleet.balancer.sessions.set('a', 2);
    fleet.balancer.sessions.set('b', 1);
    fleet.onAct = (line) => {
      if (line === 'b hide') void fleet.clock.sleep(4000).then(() => fleet.balancer.sessions.set('b', 0));
    };
    const before = fleet.clock.now();
    const recap = await fleet.deploy(NEW, { soak: 0 });
    if (onTimeout === 'fail') {
      t.match(recap, { exit: 5, failure: { host: 'a', step: 'drain', code: 'drain_timeout' } });
      t.strictSame(fleet.storyOf('activate'), []);
      t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
    } else {
      t.equal(recap.exit, 0);
      t.equal(Math.round((fleet.clock.now() - before) / 1000), 14, 'ten seconds for a, four for b');
    }
  }
});

t.test('a lost host that comes back in time gets the same command again', async (t) => {
  for (const when of ['before', 'after'] as const) {
    for (const method of ['release.activate', 'step.restart', 'check.smoke', 'step.report'] as const) {
      const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
      const cut = { kind: 'cut', when, backAfterMs: 10_000 } as const;
      fleet.onAct = (line) => {
        if (line === 'b out') fleet.agents.trouble('b', method, cut, { times: 1 });
      };
      t.match(await fleet.deploy(NEW), { exit: 0, hosts: [{}, { unreachable: 0, changed: 2 }] }, method);
      t.strictSame(fleet.storyOf('activate', 'restart'), [
        'a activate 1.1.0',
        'a restart 1.1.0',
        'b activate 1.1.0',
        'b restart 1.1.0',
      ]);
    }
  }
});

t.test('a deployment that waits for a lost host says so, and not where it is back at once', async (t) => {
  for (const [backAfterMs, said] of [
    [1000, []],
    [10_000, [/^its agent is away \(.*\): waiting for it, at most \d+s$/, 'its agent is back']],
  ] as const) {
    const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
    fleet.agents.trouble('b', 'step.restart', { kind: 'cut', when: 'before', backAfterMs }, { times: 1 });
    await fleet.deploy(NEW);
    const { store } = await fleet.controller();
    const notes = (await store.events.after(0, 'deployment/2', 1000)).flatMap(({ event }) =>
      event.type === 'note' && event.host === 'b' ? [event.text] : [],
    );
    t.equal(notes.length, said.length);
    t.match(notes, said);
  }
});

t.test('an agent that is being stopped takes nothing new, and its successor is waited for', async (t) => {
  for (const method of ['release.offer', 'release.activate', 'step.restart'] as const) {
    const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
    const error = new FleetError('stopping', 'the agent is stopping');
    fleet.agents.trouble('b', method, { kind: 'refuses', error }, { times: 3 });
    t.match(await fleet.deploy(NEW), { exit: 0, hosts: [{ running: NEW }, { running: NEW }] }, method);
  }
});

t.test('a host that is away when the end is reported has its time to come back', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
  fleet.onAct = (line) => {
    if (line === 'b show') fleet.agents.disconnect('a', 10_000);
  };
  t.match(await fleet.deploy(NEW), { exit: 0, hosts: [{ running: NEW }, { running: NEW }] });
});

t.test('a host that is lost after long work has its time to come back', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { patience: '10s' } });
  const cut = { kind: 'cut', when: 'after', workMs: 60_000, backAfterMs: 5000 } as const;
  fleet.agents.trouble('b', 'step.restart', cut, { times: 1 });
  t.match(await fleet.deploy(NEW), { exit: 0, hosts: [{}, { unreachable: 0 }] });
});

t.test('a lost host that does not come back stays hidden, and nobody says that it is well', async (t) => {
  const fleet = await makeFleet(t, { strategy: { patience: '45s' } });
  fleet.agents.trouble('b', 'step.restart', { kind: 'cut', when: 'after' }, { times: 1 });
  const before = fleet.clock.now();
  const recap = await fleet.deploy(NEW, { soak: 0 });
  t.match(recap, {
    exit: 1,
    state: 'failed',
    failure: { host: 'b', step: 'restart', code: 'unreachable', message: /did not come back in 45s/ },
    hosts: [
      { running: NEW },
      { unreachable: 1, running: null, rescued: 0, notes: [/stays hidden/, /not known/] },
      { running: OLD, ok: 0 },
    ],
  });
  t.ok(fleet.clock.now() - before >= 45_000);
  t.equal(fleet.balancer.stateOf('b').admin, 'maint');

  fleet.agents.connect('b');
  t.equal((await fleet.deploy(NEW)).exit, 0, 'it is caught up later');
  t.strictSame(fleet.balancer.visible(), ['a', 'b', 'c']);
});

t.test('a host that is slow is not lost', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.trouble('b', 'step.restart', { kind: 'slow', ms: 200_000 });
  t.equal((await fleet.deploy(NEW)).exit, 0);
});

t.test('an agent that never answers is given up at the deadline', async (t) => {
  const fleet = await makeFleet(t);
  fleet.agents.trouble('a', 'step.restart', { kind: 'slow', ms: 1e9 }, { version: NEW });
  t.match(await fleet.deploy(NEW), { exit: 5, failure: { step: 'restart', code: 'timeout' } });
});

t.test('abort: the host at work is finished, the next is not begun', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  const aborted: Array<Promise<string>> = [];
  fleet.onAct = (line) => {
    if (line === 'a restart 1.1.0') aborted.push(deployer.abort(2, 'bob', 'wrong version'));
  };
  const recap = await fleet.deploy(NEW);
  t.strictSame(await Promise.all(aborted), ['aborting']);
  t.match(recap, { state: 'aborted', exit: 1, hosts: [{ running: NEW }, { running: OLD, ok: 0 }, {}] });
  t.strictSame(fleet.storyOf('show'), ['a show']);
  await t.rejects(deployer.abort(2, 'bob', undefined), { code: 'not_running' });
});

t.test('abort while staging: nothing was touched', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  fleet.onAct = (line) => {
    if (line === 'a stage 1.1.0') void deployer.abort(2, 'bob', undefined);
  };
  t.match(await fleet.deploy(NEW), { state: 'aborted', exit: 5 });
  t.strictSame(fleet.storyOf('hide', 'activate'), []);
});

t.test('pause: the host at work is finished, the next one waits until somebody resumes', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, store } = await fleet.controller();
  fleet.onAct = (line) => {
    if (line === 'a restart 1.1.0') void deployer.pause(2, 'bob', 'a look at the graphs');
  };
  const deploying = fleet.deploy(NEW);
  await waitAfter(fleet, 'a', 'record');
  t.strictSame(fleet.storyOf('hide', 'show'), ['a hide', 'a show']);
  t.match(await store.deployments.get(2), { state: 'paused', endedAt: null });
  t.match(await store.locks.list(), [{ deployment: 2 }]);
  t.match(await computeRecap(2, { store }), { state: 'running', hosts: [{ ok: 8 }, {}, {}] });

  t.equal(await deployer.resume(2, 'bob', undefined), 'running');
  t.match(await deploying, { state: 'succeeded', exit: 0 });
  t.strictSame(fleet.storyOf('hide'), ['b hide', 'c hide']);
  const told = await store.events.after(0, 'deployment/2', 1000);
  t.match(
    told.map(({ event }) => event).filter(({ type }) => type === 'note' || type === 'deployment.resumed'),
    [{ text: /^bob pauses it: a look at the graphs; .*fleet resume 2$/ }, { why: 'bob resumes it' }],
  );
  await t.rejects(deployer.pause(2, 'bob', undefined), { code: 'not_running' });
  await t.rejects(deployer.resume(2, 'bob', undefined), { code: 'not_running' });
});

t.test('paused while staging: what was begun is staged, and what fails meanwhile ends it', async (t) => {
  const fleet = await makeFleet(t, { strategy: { stage_parallel: 1 } });
  const { deployer } = await fleet.controller();
  fleet.onAct = (line) => {
    if (line === 'a stage 1.1.0') void deployer.pause(2, 'bob', undefined);
  };
  const deploying = fleet.deploy(NEW);
  await waitAfter(fleet, 'a', 'stage');
  t.strictSame(fleet.story(), ['a stage 1.1.0']);
  await deployer.resume(2, 'bob', undefined);
  t.equal((await deploying).exit, 0);

  const two = await makeFleet(t, { strategy: { stage_parallel: 2 } });
  const next = await two.controller();
  const held = Promise.withResolvers<void>();
  two.agents.trouble('a', 'release.offer', { kind: 'held', until: held.promise }, { times: 1 });
  two.onAct = (line) => {
    if (line === 'b stage 1.1.0') void next.deployer.pause(2, 'bob', undefined);
  };
  const failing = two.deploy(NEW);
  await waitAfter(two, 'b', 'stage');
  held.reject(new FleetError('disk_full', 'a has no room'));
  t.match(await failing, { state: 'restored', exit: 5, failure: { host: 'a', code: 'disk_full' } });
  t.strictSame(two.story(), ['b stage 1.1.0'], 'and nobody had to resume it');
});

t.test('abort while paused: what was not begun is as it was', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer } = await fleet.controller();
  fleet.onAct = (line) => {
    if (line === 'a hide') void deployer.pause(2, 'bob', undefined);
  };
  const deploying = fleet.deploy(NEW);
  await waitAfter(fleet, 'a', 'record');
  t.equal(await deployer.abort(2, 'bob', undefined), 'aborting');
  t.match(await deploying, {
    state: 'aborted',
    exit: 1,
    hosts: [{ running: NEW }, { running: OLD, ok: 0 }, {}],
  });
  t.strictSame(fleet.storyOf('hide'), ['a hide']);
});

t.test('a paused deployment stays so over restarts of the controller', async (t) => {
  const fleet = await makeFleet(t);
  const first = await fleet.controller();
  fleet.onAct = (line) => {
    if (line === 'a hide') void first.deployer.pause(2, 'bob', undefined);
  };
  await first.deployer.start({ service: SERVICE, version: NEW, skipChecks: [] }, 'ann');
  await waitAfter(fleet, 'a', 'record');
  fleet.story();
  for (let restarts = 1; restarts <= 2; restarts++) {
    // It parks where it waits.
    const { deployer, store } = await fleet.start();
    await deployer.takeUp();
    await waitAfter(fleet, 'a', 'record');
    t.match(await store.deployments.get(2), { state: 'paused' });
    const last = (await store.events.after(0, 'deployment/2', 1000)).filter(
      ({ event }) => event.type === 'note',
    );
    t.match(last.at(-1)?.event, { text: /stays paused: fleet resume 2/ });
  }
  t.strictSame(fleet.story(), []);
  const { deployer, store } = await fleet.controller();
  await deployer.resume(2, 'bob', undefined);
  await deployer.idle();
  t.match(await computeRecap(2, { store }), { state: 'succeeded', exit: 0 });
  t.strictSame(fleet.storyOf('hide'), ['b hide', 'c hide'], 'what was done is not done again');
  t.strictSame([fleet.faults, await store.locks.list()], [[], []]);
});

t.test('paused while it is not planned yet: it waits before it stages', async (t) => {
  const fleet = await makeFleet(t);
  const { deployer, store } = await fleet.controller();
  fleet.agents.trouble('a', 'step.report', { kind: 'slow', ms: 3000 }, { times: 1 });
  void fleet.clock.sleep(1000).then(() => deployer.pause(2, 'bob', undefined));
  const deploying = fleet.deploy(NEW);
  await fleet.clock.sleep(3500);
  await waitAfter(fleet, 'a', null);
  t.match(await store.deployments.get(2), { state: 'paused', version: NEW });
  t.strictSame(fleet.story(), []);
  await deployer.resume(2, 'bob', undefined);
  t.equal((await deploying).exit, 0);
});

t.test('only the hosts that were asked for', async (t) => {
  const fleet = await makeFleet(t);
  t.match(await fleet.deploy(NEW, { hosts: ['b'] }), { exit: 0, hosts: [{ host: 'b' }] });
  t.match(await fleet.deploy(NEW, { roles: ['first'] }), { exit: 0, hosts: [{ host: 'a' }] });
  t.strictSame(fleet.running(), { a: NEW, b: NEW, c: OLD });
});

t.test('a rollback goes to the version before, and never to one that people left', async (t) => {
  const fleet = await makeFleet(t);
  await fleet.deploy(NEW);
  await fleet.deploy(MIGRATING);
  fleet.story();
  t.match(await fleet.rollback(), { version: NEW, exit: 0, state: 'succeeded' });
  t.notOk(
    fleet.story().some((line) => line.includes('once')),
    'it does not migrate',
  );
  t.match(await fleet.rollback(), { version: OLD, exit: 0 });
  await t.rejects(fleet.rollback(), { code: 'no_rollback_point', next: /--to/ });
  t.match(await fleet.rollback({ to: NEW }), { version: NEW, exit: 0 }, 'by name it goes anywhere');
});

t.test('without a balancer', async (t) => {
  const fleet = await makeFleet(t, { balancer: false });
  fleet.agents.sicken('b', NEW);
  t.match(await fleet.deploy(NEW), { exit: 1, hosts: [{ running: NEW }, { running: OLD, rescued: 1 }, {}] });
  t.strictSame(fleet.storyOf('hide', 'out', 'show'), []);
});
