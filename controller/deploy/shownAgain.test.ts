import t from 'tap';
import { fleets, NEW } from './fleet.fixture.ts';
import { closeRecordsOfShown } from './shownAgain.ts';

const makeFleet = await fleets(t);
const MINUTE = 60_000;
const strategy = { on_failure: 'stop', min_visible: 0 };

t.test('a host that could not be hidden is not noted as hidden for long', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy });
  fleet.balancer.lies = true;
  t.match(await fleet.deploy(NEW), { exit: 1, failure: { step: 'hide' } });
  const { deps, store } = await fleet.controller();
  t.match(await store.hidden.list(), [{ host: 'a', deployment: 2 }]);

  fleet.balancer.unreachable = true;
  const keeping = closeRecordsOfShown(deps);
  await fleet.clock.sleep(MINUTE);
  t.match(await store.hidden.list(), [{ host: 'a' }], 'while the balancer does not answer nobody knows');
  fleet.balancer.unreachable = false;
  fleet.story();
  await fleet.clock.sleep(MINUTE);
  t.strictSame(await store.hidden.list(), []);
  t.strictSame(fleet.story(), [], 'the balancer is told nothing');
  fleet.park();
  await keeping;
});

t.test('a host that is hidden stays noted', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy });
  fleet.agents.sicken('a', NEW);
  t.match(await fleet.deploy(NEW), { exit: 1, failure: { step: 'smoke' } });
  const { deps, store } = await fleet.controller();
  const keeping = closeRecordsOfShown(deps);
  await fleet.clock.sleep(MINUTE);
  t.match(await store.hidden.list(), [{ host: 'a' }]);
  fleet.park();
  await keeping;
});

t.test('while a deployment is under way its notes are its own', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy });
  const { deps, store } = await fleet.controller();
  const keeping = closeRecordsOfShown(deps);
  let seen: unknown;
  fleet.onAct = (line) => {
    if (line === 'a out') void showFor40Seconds();
  };
  async function showFor40Seconds(): Promise<void> {
    await fleet.clock.sleep(1000);
    fleet.balancer.admin.set('a', 'ready');
    await fleet.clock.sleep(40_000);
    seen = await store.hidden.list();
    fleet.balancer.admin.set('a', 'maint');
  }
  fleet.agents.trouble('a', 'release.activate', { kind: 'slow', ms: 50_000 });
  t.match(await fleet.deploy(NEW), { exit: 0 });
  t.match(seen, [{ host: 'a', deployment: 2 }]);
  fleet.park();
  await keeping;
});
