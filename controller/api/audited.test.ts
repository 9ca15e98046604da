import { ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import t, { type Test } from 'tap';
import type { AuditEntry } from '../store/audit.ts';
import { createStore } from '../store/store.ts';
import { audited, isChange } from './audited.ts';
import type { Asked, Served } from './handlers.ts';

const asked = {
  who: { name: 'ann' },
  from: '10.0.0.7',
  params: { id: 7 },
  body: { why: 'a mistake', token: 'fleet_secret', other: 'x' },
} as unknown as Asked<'deployments.abort'>;

async function servedBy(t: Test) {
  const store = await createStore(`${t.testdir()}/fleet.sqlite`);
  t.teardown(() => store.close());
  const served = { store, secrets: { known: new KnownSecrets() } } as unknown as Served;
  const rows = async () => (await store.audit.list({ limit: 10 })).reverse();
  return { store, served, rows };
}

t.test('a change is written down before it is done, and how it ended', async (t) => {
  const { served, rows } = await servedBy(t);
  const done = await audited(served, 'deployments.abort', asked, async () => {
    t.match(await rows(), [{ seq: 1, outcome: 'asked' }], 'on disk before anything is done');
    return { id: 7, state: 'aborting', token: 'fleet_secret' };
  });
  t.match(done, { state: 'aborting' });
  const fails = audited(served, 'deployments.abort', asked, async () => {
    throw new FleetError('not_running', 'it has ended');
  });
  await t.rejects(fails, { code: 'not_running' });
  const row = { who: 'ann', from: '10.0.0.7', what: 'deployments.abort' };
  t.match(await rows(), [
    { ...row, outcome: 'asked' },
    { ...row, outcome: 'done' },
    { ...row, outcome: 'asked' },
    { ...row, outcome: 'failed' },
  ]);
  t.strictSame(
    (await rows()).map(({ details }) => details),
    [
      { id: 7, why: 'a mistake' },
      { asked: 1, id: 7, state: 'aborting' },
      { id: 7, why: 'a mistake' },
      { asked: 3, code: 'not_running' },
    ],
    'names and numbers alone',
  );
});

t.test('what cannot be written down is not done', async (t) => {
  const { served, store } = await servedBy(t);
  const full = new FleetError('database_full', 'no room');
  store.audit.append = () => Promise.reject(full);
  const change = audited(served, 'deployments.abort', asked, async () => t.fail('it is done'));
  await t.rejects(change, full);
});

t.test('what is done is said to be done, also where the disk was full by then', async (t) => {
  const { served, store } = await servedBy(t);
  const { audit } = store;
  const append = audit.append.bind(audit);
  audit.append = async (entry: AuditEntry) => {
    if (entry.outcome === 'asked') return append(entry);
    throw new FleetError('database_full', 'no room');
  };
  t.match(await audited(served, 'deployments.abort', asked, async () => ({ id: 7 })), { id: 7 });
});

t.test('looking is no change, and everything else is', async (t) => {
  const changes = (Object.entries(ROUTES) as Array<[RouteName, Route]>).filter(([, route]) =>
    isChange(route),
  );
  t.ok(changes.length > 10);
  for (const [name, { method, access }] of Object.entries(ROUTES) as Array<[RouteName, Route]>) {
    const change = changes.some(([changing]) => changing === name);
    if (method === 'GET' || name === 'plans.make') t.notOk(change, name);
    // They write down themselves what they do.
    else t.equal(change, access !== 'key', name);
  }
});
