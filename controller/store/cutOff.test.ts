import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EVERYWHERE } from '@fleet/protocol/access.ts';
import type { SignedFloor } from '@fleet/protocol/trust.ts';
import t from 'tap';
import { keepCutOff } from './cutOff.ts';
import { createStore, type Store } from './store.ts';

const AT = '2026-11-21T03:00:00.000Z';
const LATER = '2026-11-21T04:00:00.000Z';

async function person(store: Store, name: string): Promise<void> {
  await store.tokens.create({
    ...EVERYWHERE,
    id: name,
    name,
    hash: 'hash',
    role: 'viewer',
    expires: null,
    by: 'x',
  });
}

async function host(store: Store, name: string): Promise<void> {
  const key = name.repeat(64);
  await store.joinTokens.add({
    id: name,
    hash: 'hash',
    labels: {},
    host: null,
    approve: false,
    uses: 2,
    by: 'x',
    madeAt: AT,
    expiresAt: LATER,
  });
  const made = { key, publicKey: key, host: name, labels: {}, state: 'active', joinedAt: AT } as const;
  await store.identities.join(name, key, async () => made);
}

function floor(service: string, notBefore: number): SignedFloor {
  const statement = { kind: 'floor', service, version: String(notBefore), notBefore, signedAt: 1 } as const;
  return { statement, key: '0'.repeat(64), signature: '' };
}
const said = { why: 'a hole', by: 'x', at: AT };

const peopleIn = async ({ tokens }: Store) => (await tokens.list()).map(({ name }) => name);
const hostsIn = async ({ identities }: Store) =>
  Object.fromEntries((await identities.list()).map(({ host, state }) => [host, state]));
const floorsIn = async ({ floors }: Store) =>
  Object.fromEntries(
    (await floors.list()).map(({ signed: { statement } }) => [statement.service, statement.version]),
  );

t.test('who was cut off after the backup stays out, and a floor does not fall', async (t) => {
  const dir = t.testdir();
  const [former, backup] = [join(dir, 'former'), join(dir, 'backup')];
  const store = await createStore(former);
  for (const name of ['ann', 'bob']) await person(store, name);
  for (const name of ['a', 'b', 'c']) await host(store, name);
  await store.floors.set({ ...said, signed: floor('web', 1) });
  await store.floors.set({ ...said, signed: floor('api', 5) });
  await store.copyTo(backup);
  await store.tokens.revoke('ann');
  await store.identities.end('a', 'revoked', LATER, 'bob');
  await store.identities.end('b', 'forgotten', LATER, 'bob');
  await store.floors.set({ ...said, signed: floor('web', 2) });
  await store.floors.set({ ...said, signed: floor('api', 4) });
  await store.floors.set({ ...said, signed: floor('new', 9) });
  await store.close();

  t.strictSame(keepCutOff(backup, former, LATER), { people: 1, hosts: 2 });
  const restored = await createStore(backup);
  t.teardown(() => restored.close());
  t.strictSame(await peopleIn(restored), ['bob']);
  t.strictSame(await hostsIn(restored), { a: 'revoked', b: 'forgotten', c: 'active' });
  t.strictSame(await floorsIn(restored), { api: '5', new: '9', web: '2' });
  t.match(await restored.joinTokens.list(), [
    { revokedAt: LATER },
    { revokedAt: LATER },
    { revokedAt: LATER },
  ]);
  t.equal(statSync(backup).mode & 0o777, 0o600, 'nobody else reads a database');
});

t.test('a database that is damaged, or of another fleet, is asked in vain', async (t) => {
  const dir = t.testdir();
  const [other, backup, damaged] = [join(dir, 'other'), join(dir, 'backup'), join(dir, 'damaged')];
  writeFileSync(damaged, 'no database at all'.repeat(1000));
  for (const file of [backup, other]) {
    const store = await createStore(file);
    await person(store, 'ann');
    await host(store, 'a');
    if (file === other) {
      await store.tokens.revoke('ann');
      await store.identities.end('a', 'revoked', LATER, 'bob');
      await store.floors.set({ ...said, signed: floor('web', 1) });
    }
    await store.close();
  }
  t.equal(keepCutOff(backup, undefined, LATER), null);
  t.equal(keepCutOff(backup, damaged, LATER), null);
  t.strictSame(keepCutOff(backup, other, LATER), { people: 0, hosts: 0 });
  const restored = await createStore(backup);
  t.teardown(() => restored.close());
  t.strictSame(await peopleIn(restored), ['ann']);
  t.strictSame(await hostsIn(restored), { a: 'active' });
  t.strictSame(await floorsIn(restored), {});
  t.match(await restored.joinTokens.list(), [{ revokedAt: LATER }]);
});
