/** Tokens and identities, by rows and a clock that the test moves. */
import { join } from 'node:path';
import { bearerId } from '@fleet/trust/bearer.ts';
import { makeTlsKey } from '@fleet/trust/keys.ts';
import { validity } from '@fleet/trust/tls.ts';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { asked, note, samplePlan } from '../store/samples.fixture.ts';
import { createStore } from '../store/store.ts';
import { certifyBody, enrolmentIn, joinBody, tokenOf } from './enrolment.fixture.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

async function open(t: Test) {
  const dir = t.testdir();
  const file = join(dir, 'fleet.sqlite');
  const store = await createStore(file);
  t.teardown(() => store.close());
  return { ...(await enrolmentIn(dir, store)), store, file };
}

t.test('a token is good once, also where fifty come at the same time', async (t) => {
  const { enrolment, store, file } = await open(t);
  const token = await tokenOf(enrolment);
  const tries = Array.from({ length: 50 }, (_, i) => enrolment.join(joinBody(token, `web-${i}`)));
  const ended = await Promise.allSettled(tries);
  t.equal(ended.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const each of ended)
    if (each.status === 'rejected') t.match(each.reason, { code: 'bad_token', message: /has been used/ });
  t.equal((await store.identities.list()).length, 1);
  const three = await tokenOf(enrolment, { uses: 3 });
  const more = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => enrolment.join(joinBody(three, `many-${i}`))),
  );
  t.equal(more.filter(({ status }) => status === 'fulfilled').length, 3, 'or as often as it says');
  const database = new Database(file, { readonly: true });
  t.notOk(JSON.stringify(database.prepare('select * from join_tokens').all()).includes(token.slice(27)));
  database.close();
});

t.test(
  'what is wrong with a token is told to whoever shows the whole of it, with the command that mends it',
  async (t) => {
    const { enrolment, clock } = await open(t);
    const late = await tokenOf(enrolment);
    clock.now += 15 * MINUTE_MS;
    await t.rejects(enrolment.join(joinBody(late, 'web-1')), {
      code: 'bad_token',
      message: /expired at \S+, and it is \S+ now/,
      next: /fleet token create/,
    });
    const named = await tokenOf(enrolment, { host: 'web-1' });
    await t.rejects(enrolment.join(joinBody(named, 'web-2')), {
      code: 'bad_token',
      message: /is for web-1, and this host says that it is web-2/,
      next: /fleet token create --host web-2/,
    });
    const ended = await tokenOf(enrolment);

    t.ok(await enrolment.revokeToken(bearerId('fleetjoin', ended)!));
    await t.rejects(enrolment.join(joinBody(ended, 'web-1')), { code: 'bad_token', message: /revoked/ });
    const nameless = await tokenOf(enrolment);
    await t.rejects(enrolment.join(joinBody(nameless, null)), { code: 'bad_token', next: /--host NAME/ });

    const guessed = `${named.slice(0, -4)}AAAA`;
    await t.rejects(enrolment.join(joinBody(guessed, 'web-1')), {
      code: 'bad_token',
      message: 'this join token is not taken: it is none of this fleet',
      data: { token: undefined },
    });
    const right = joinBody(named, 'web-1');
    const stolen = {
      ...right,
      proof: { ...right.proof, signature: joinBody(named, 'web-1').proof.signature },
    };
    await t.rejects(
      enrolment.join(stolen),
      { code: 'bad_token' },
      'a key that one has not got does not join',
    );
    t.match(await enrolment.join(right), { state: 'active', host: 'web-1' });
  },
);

t.test('the answer may be lost: the same key asks again, and no use is spent', async (t) => {
  const { enrolment, store } = await open(t);
  const body = joinBody(await tokenOf(enrolment), 'web-1');
  await enrolment.join(body);
  t.match(await enrolment.join(body), { state: 'active', host: 'web-1' });
  t.match(await store.joinTokens.list(), [{ used: 1 }]);
});

t.test('where a person has to let it in, a host gets nothing before', async (t) => {
  const { enrolment, clock } = await open(t);
  const keys = makeTlsKey();
  t.strictSame(await enrolment.join(joinBody(await tokenOf(enrolment, { approve: true }), 'web-1', keys)), {
    state: 'waiting',
    host: 'web-1',
  });
  t.strictSame(await enrolment.certify(certifyBody(keys, clock.now).proof), {
    state: 'waiting',
    host: 'web-1',
  });
  t.ok(await enrolment.approve('web-1'));
  t.match(await enrolment.certify(certifyBody(keys, clock.now).proof), {
    state: 'active',
    labels: { role: 'web' },
  });
  t.notOk(await enrolment.approve('web-1'), 'once');
});

t.test(
  'a host that was away comes back by its signature, up to 30 days after its certificate has expired',
  async (t) => {
    const { enrolment, clock } = await open(t);
    const keys = makeTlsKey();
    const joined = await enrolment.join(joinBody(await tokenOf(enrolment), 'web-1', keys));
    if (joined.state !== 'active') throw new Error('it waits');
    t.equal(validity(joined.certificate).to, Math.floor((clock.now + 7 * DAY_MS) / 1000) * 1000);
    const ask = (at = clock.now) => enrolment.certify(certifyBody(keys, at).proof);
    clock.now += 7 * DAY_MS + 29 * DAY_MS;
    t.match(await ask(), { state: 'active' });
    await t.rejects(ask(clock.now - DAY_MS), {
      code: 'clock_off',
      message: /it is \S+ here, and the host says that it is \S+/,
    });
    await t.rejects(enrolment.certify(certifyBody(makeTlsKey(), clock.now).proof), { code: 'not_enrolled' });
    clock.now += 7 * DAY_MS + 31 * DAY_MS;
    await t.rejects(ask(), {
      code: 'not_enrolled',
      message: /more than 30 days/,
      next: /fleet agent join on web-1/,
    });
  },
);

t.test('a host that was cut off stays out, whatever it signs', async (t) => {
  const { enrolment, clock } = await open(t);
  for (const how of ['revoked', 'forgotten'] as const) {
    const keys = makeTlsKey();
    await enrolment.join(joinBody(await tokenOf(enrolment), how, keys));
    t.ok(await enrolment.end(how, how, 'ann'));
    await t.rejects(enrolment.certify(certifyBody(keys, clock.now).proof), {
      code: 'not_enrolled',
      message: new RegExp(`${how} was ${how} at`),
    });
    await t.rejects(enrolment.join(joinBody(await tokenOf(enrolment), how, keys)), { code: 'bad_token' });
  }
});

t.test('a new host under an old name inherits nothing', async (t) => {
  const { enrolment, store } = await open(t);
  const said = { instance: 'a', platform: 'linux-x64', agent: '0', bootId: 'b', freeDisk: 1, services: [] };
  const first = await enrolment.join(joinBody(await tokenOf(enrolment, { labels: { role: 'db' } }), 'web-1'));
  t.match(first, { labels: { role: 'db' } });
  await store.hosts.save({ ...said, host: 'web-1', labels: { role: 'db' } });
  await t.rejects(
    enrolment.join(joinBody(await tokenOf(enrolment), 'web-1')),
    { code: 'name_in_use', next: /fleet hosts forget web-1/ },
    'not while the first one lives',
  );
  await enrolment.end('web-1', 'revoked', 'ann');
  const second = await enrolment.join(
    joinBody(await tokenOf(enrolment, { labels: { role: 'web' } }), 'web-1'),
  );
  t.match(second, { labels: { role: 'web' } });
  t.strictSame(await store.hosts.list(), [], 'what the first one said is gone');
  t.match(
    (await store.identities.list()).map(({ state }) => state),
    ['revoked', 'active'],
  );
});

t.test('nor does it come into a deployment that was planned for the old one', async (t) => {
  const { enrolment, store } = await open(t);
  await enrolment.join(joinBody(await tokenOf(enrolment), 'a'));
  const id = await store.deployments.begin(asked);
  await store.deployments.plan(id, samplePlan(1), note('planned'));
  await enrolment.end('a', 'revoked', 'ann');
  const again = joinBody(await tokenOf(enrolment, { labels: { role: 'other' } }), 'a');
  await t.rejects(enrolment.join(again), {
    code: 'name_in_use',
    message: new RegExp(`deployment ${id} goes to the a`),
    next: new RegExp(`fleet abort ${id}`),
  });
  await store.deployments.end(id, { state: 'aborted', exit: 1 }, note('over'));
  t.match(await enrolment.join(again), { host: 'a' }, 'the token is still good');
});
