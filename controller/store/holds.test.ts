import { join } from 'node:path';
import t, { type Test } from 'tap';
import { asked, note, samplePlan, sampleRecap } from './samples.fixture.ts';
import { createStore, type Store } from './store.ts';

const OWN = { ...asked, service: 'fleet-agent', environment: 'fleet' };
const OTHER = { ...asked, service: 'node-red' };

async function storeIn(t: Test, file = join(t.testdir(), 'fleet.sqlite')): Promise<Store> {
  const store = await createStore(file);
  t.teardown(() => store.close());
  return store;
}
const onHosts = (...hosts: string[]) => ({
  ...samplePlan(1),
  hosts: hosts.map((host) => ({ host, facts: { host } })),
});
const planned = (store: Store, id: number, ...hosts: string[]) =>
  store.deployments.plan(id, onHosts(...hosts), note('planned'));

t.test('fleet is not replaced on a host that is being deployed to, nor the other way round', async (t) => {
  for (const [first, second, says] of [
    [asked, OWN, /^segmenter in production is being deployed to a by ann \(deployment 1\): its agent is not/],
    [OWN, asked, /^fleet itself is being replaced on a \(deployment 1 of ann\): nothing else is deployed/],
  ] as const) {
    const store = await storeIn(t, join(t.testdir({}), `${first.service}.sqlite`));
    const { deployments } = store;
    const one = await deployments.begin(first);
    const two = await deployments.begin(second);
    await planned(store, one, 'a', 'b');
    await t.rejects(planned(store, two, 'c', 'a'), {
      code: 'host_busy',
      message: says,
      next: /fleet attach 1/,
    });
    t.match(await deployments.whoHolds({ service: second.service, hosts: ['a'] }), { code: 'host_busy' });
    t.equal((await deployments.hosts(two)).length, 0, 'nothing of it was stored');
    t.equal((await deployments.get(two)).state, 'resolving');
    await planned(store, two, 'c');
    t.same(
      (await deployments.hosts(two)).map(({ host }) => host),
      ['c'],
      'other hosts are free',
    );
  }
});

t.test('an end frees the hosts; a new controller knows who has them', async (t) => {
  const file = join(t.testdir(), 'fleet.sqlite');
  const former = await createStore(file);
  await planned(former, await former.deployments.begin(OWN), 'a');
  await former.close();
  const store = await storeIn(t, file);
  const id = await store.deployments.begin(asked);
  await t.rejects(planned(store, id, 'a'), { code: 'host_busy' });
  await store.deployments.pause(1, note('paused'));
  await t.rejects(planned(store, id, 'a'), { code: 'host_busy' }, 'also while it stands still');
  await store.deployments.end(
    1,
    { state: 'succeeded', exit: 0 },
    { type: 'deployment.ended', recap: sampleRecap(1) },
  );
  await planned(store, id, 'a');
});

t.test('services do not hold hosts against one another', async (t) => {
  const store = await storeIn(t);
  const ids = [await store.deployments.begin(asked), await store.deployments.begin(OTHER)];
  for (const id of ids) await planned(store, id, 'a');
  t.equal(await store.deployments.whoHolds({ service: 'another', hosts: ['a'] }), undefined);
});
