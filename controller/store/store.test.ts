import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Envelope } from '@fleet/protocol/api/events.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import Database from 'better-sqlite3';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { inspectCopy } from './copy.ts';
import { Events } from './events.ts';
import { openStore } from './open.ts';
import { addRollbackPoint, leaveVersion } from './rollbackPoints.ts';
import { asked, note, samplePlan, sampleRecap } from './samples.fixture.ts';
import { createStore, type Store } from './store.ts';

const TOPIC = 'deployment/1';

const fileIn = (t: Test) => join(t.testdir(), 'fleet.sqlite');

async function storeIn(t: Test, file = fileIn(t)): Promise<Store> {
  const store = await createStore(file);
  t.teardown(() => store.close());
  return store;
}

async function pragma(store: Awaited<ReturnType<typeof openStore>>, name: string): Promise<unknown> {
  const { rows } = await sql<Record<string, unknown>>`pragma ${sql.raw(name)}`.execute(store.db);
  return Object.values(rows[0] ?? {})[0];
}

t.test('durable settings hold, also on a file that is reopened', async (t) => {
  const file = fileIn(t);
  // A brand-new file reports FULL whatever was said; a reopened one in WAL mode is what forgets it.
  for (const time of ['new', 'reopened', 'reopened again']) {
    const store = await openStore(file);
    t.equal(await pragma(store, 'journal_mode'), 'wal', time);
    t.equal(await pragma(store, 'synchronous'), 2, `${time}: FULL`);
    t.equal(await pragma(store, 'foreign_keys'), 1, time);
    t.equal(await pragma(store, 'busy_timeout'), 200, time);
    await store.close();
  }
});

t.test('a newer database is refused', async (t) => {
  const file = fileIn(t);
  const store = await openStore(file);
  const known = Number(await pragma(store, 'user_version'));
  t.ok(known > 0, 'migrations are numbered');
  await sql`pragma user_version = ${sql.raw(String(known + 1))}`.execute(store.db);
  await store.close();
  await t.rejects(createStore(file), {
    code: 'newer_database',
    message: new RegExp(`schema ${known + 1}, this one knows ${known}`),
    next: /newer program/,
  });
});

t.test('a file that is no database is said to be none', async (t) => {
  const dir = t.testdir();
  const file = join(dir, 'garbage.sqlite');
  await writeFile(file, randomBytes(8192));
  const refused = {
    code: 'bad_database',
    message: new RegExp(`${file} cannot be used`),
    next: /fleet restore/,
  };
  await t.rejects(createStore(file), refused);
  await t.rejects(createStore(join(dir, 'no', 'folder.sqlite')), { code: 'bad_database', next: /backup/ });
});

t.test('damage in the middle is noticed when it is opened', async (t) => {
  const file = fileIn(t);
  const store = await createStore(file);
  const id = await store.deployments.begin(asked);
  await store.deployments.plan(id, samplePlan(2000), note('planned'));
  await store.close();
  const handle = await open(file, 'r+');
  const { size } = await handle.stat();
  // Not where the schema lies: only a look at all of it finds this.
  for (let at = Math.floor(size / 8192) * 4096; at < size; at += 4096)
    await handle.write(randomBytes(64), 0, 64, at);
  await handle.close();
  await t.rejects(createStore(file), {
    code: 'bad_database',
    message: /cannot be used/,
    next: /fleet restore/,
  });
});

t.test('the epoch rises with each start, the fleet stays', async (t) => {
  const file = fileIn(t);
  const starts: Array<Pick<Store, 'fleet' | 'epoch'>> = [];
  for (let start = 1; start <= 3; start++) {
    const { fleet, epoch, close } = await createStore(file);
    starts.push({ fleet, epoch });
    await close();
  }
  const [first] = starts;
  t.match(first?.fleet, /^[0-9a-f-]{36}$/);
  t.strictSame(
    starts,
    [1, 2, 3].map((epoch) => ({ fleet: first?.fleet, epoch })),
  );
  const other = await storeIn(t, join(t.testdir(), 'other.sqlite'));
  t.not(other.fleet, first?.fleet, 'a fresh database is another fleet');
});

t.test('the epoch rises above what an agent has obeyed, for good', async (t) => {
  const file = fileIn(t);
  const store = await createStore(file);
  t.equal(await store.raiseEpochAbove(0), false, 'an agent that has never obeyed');
  t.equal(await store.raiseEpochAbove(1), false, 'its own epoch');
  t.equal(store.epoch, 1);
  t.same(await Promise.all([store.raiseEpochAbove(9), store.raiseEpochAbove(7)]), [true, true]);
  t.equal(store.epoch, 10);
  await store.close();
  t.equal((await storeIn(t, file)).epoch, 11, 'it was stored');
});

t.test('a copy that is made while others write is one moment of the database', async (t) => {
  const store = await storeIn(t);
  const dir = t.testdir();
  // Enough pages that the copy takes many steps.
  for (let round = 0; round < 40; round++) await store.events.append(TOPIC, note('x'.repeat(40_000)));
  let over = false;
  let copies = 0;
  const writing = (async () => {
    const where = { service: 'segmenter', environment: 'production', host: 'a' };
    while (!over) {
      const id = await store.deployments.begin(asked);
      const point = { ...where, deployment: id, version: `1.${id}.0`, identity: '0'.repeat(64), values: {} };
      const recap = sampleRecap(id);
      await store.deployments.end(
        id,
        { state: 'succeeded', exit: 0 },
        { type: 'deployment.ended', recap },
        (trx) => addRollbackPoint(trx, point),
      );
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (; copies < 5; copies++) {
    const file = join(dir, `copy-${copies}.sqlite`);
    const before = (await store.deployments.list({ limit: 1 }))[0]?.id ?? 0;
    await store.copyTo(file);
    t.strictSame(inspectCopy(file), []);
    t.notOk(existsSync(`${file}-wal`), 'one file');
    const copy = await createStore(file);
    t.equal(copy.fleet, store.fleet);
    const deployments = await copy.deployments.list({ limit: 100_000 });
    t.ok(deployments.length >= before, 'nothing that was there before is missing');
    const ended = deployments.filter(({ state }) => state === 'succeeded');
    t.equal((await copy.rollbackPoints.verified('segmenter', 'production')).size, ended.length);
    t.equal((await copy.events.after(0, undefined, 100_000)).length, 40 + ended.length, 'both or neither');
    t.equal((await copy.locks.list()).length, deployments.length - ended.length);
    await copy.close();
  }
  over = true;
  await writing;
});

t.test('a database that others hold, and one that breaks', async (t) => {
  const file = fileIn(t);
  const broken: FleetError[] = [];
  const store = await createStore(file, (fault) => broken.push(fault));
  const other = new Database(file);
  other.exec('begin immediate');
  await t.rejects(store.deployments.begin(asked), { code: 'database_busy', message: new RegExp(file) });
  await t.rejects(store.events.append(TOPIC, note('lost')), { code: 'database_busy' });
  t.strictSame(await store.deployments.list({ limit: 5 }), [], 'it can be read meanwhile');
  other.exec('rollback');
  other.close();
  t.ok(await store.deployments.begin(asked), 'nothing is left of the transaction that failed');
  t.strictSame(broken, []);

  for (let round = 0; round < 100; round++) await store.events.append(TOPIC, note('y'.repeat(1000)));
  await store.close();
  const opened = await openStore(file, (fault) => broken.push(fault));
  t.teardown(() => opened.close());
  const handle = await open(file, 'r+');
  const { size } = await handle.stat();
  for (let at = 4096; at < size; at += 4096) await handle.write(Buffer.alloc(4096, 0xff), 0, 4096, at);
  await handle.close();
  // What was looked at when it was opened is still in memory.
  await sql`pragma shrink_memory`.execute(opened.db);
  const reading = new Events(opened.db).after(0, undefined, 1000);
  await t.rejects(reading, { code: 'bad_database', message: /SQLITE_CORRUPT/ });
  t.match(broken, [{ code: 'bad_database', next: /fleet restore/ }], 'and the controller is told');
});

t.test('the log beside the database is written into it, and begins anew', async (t) => {
  const file = join(t.testdir(), 'fleet.sqlite');
  const { db } = await openStore(file);
  t.teardown(() => db.destroy());
  const sizes: number[] = [];
  for (let commit = 0; commit < 900; commit++) {
    await sql`insert into meta (key, value) values (${`key ${commit}`}, ${'x'.repeat(2000)})`.execute(db);
    if (commit % 300 === 299) sizes.push(statSync(`${file}-wal`).size);
  }
  t.equal(sizes[2], sizes[1], 'as much as there was to write between two times');
  t.ok(statSync(file).size > 1_000_000);
});

t.test('a database that may not grow', async (t) => {
  const store = await openStore(fileIn(t));
  t.teardown(() => store.close());
  const events = new Events(store.db);
  await events.append(TOPIC, note('small'));
  const pages = Number(await pragma(store, 'page_count'));
  await sql`pragma max_page_count = ${sql.raw(String(pages))}`.execute(store.db);
  const large = note('x'.repeat(100_000));
  await t.rejects(events.append(TOPIC, large), { code: 'database_full', next: /make room/ });
  await t.rejects(events.append(TOPIC, large), { code: 'database_full' }, 'the same the second time');
  t.equal((await events.after(0, undefined, 10)).length, 1);
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  await events.append(TOPIC, large);
  t.equal((await events.after(0, undefined, 10)).length, 2);
});

t.test('events are numbered, followed, and read again from a number', async (t) => {
  const { events } = await storeIn(t);
  const seen: Envelope[] = [];
  const unfollow = events.follow((envelope) => seen.push(envelope));
  // Three at a time on two topics, as lanes do it.
  for (let round = 0; round < 20; round++) {
    await Promise.all([
      events.append('deployment/1', note(`one ${round}`)),
      events.append('deployment/2', note(`two ${round}`), async (trx) => {
        await trx.selectFrom('events').selectAll().limit(1).execute();
      }),
      events.append('deployment/1', note(`other ${round}`)),
    ]);
  }
  const ids = seen.map(({ id }) => id);
  t.strictSame(
    ids,
    Array.from({ length: 60 }, (_, index) => index + 1),
    'told in the order of their numbers, none left out',
  );
  t.strictSame(await events.after(0, undefined, 1000), seen, 'kept as they were told');
  const ones = seen.filter(({ topic }) => topic === 'deployment/1');
  t.strictSame(await events.after(0, 'deployment/1', 1000), ones, 'by topic');
  t.strictSame(await events.after(ones[4]!.id!, 'deployment/1', 3), ones.slice(5, 8), 'after one, a page');
  t.strictSame(await events.after(60, undefined, 10), []);

  events.tell(TOPIC, note('on its way'));
  t.match(seen.at(-1), { id: null, event: { text: 'on its way' } });
  t.strictSame(await events.after(60, undefined, 10), [], 'progress is told and not kept');
  unfollow();
  await events.append(TOPIC, note('unseen'));
  t.equal(seen.length, 61, 'nobody looks any more');
});

t.test('a change and its event are there together or not at all', async (t) => {
  const { events, deployments } = await storeIn(t);
  const id = await deployments.begin(asked);
  const told: Envelope[] = [];
  events.follow((envelope) => {
    told.push(envelope);
  });
  const broken = events.append(TOPIC, note('it failed'), async (trx) => {
    await trx.updateTable('deployments').set({ state: 'failed' }).where('id', '=', id).execute();
    throw new Error('broken');
  });
  await t.rejects(broken, { message: 'broken' });
  t.equal((await deployments.get(id)).state, 'resolving');
  t.strictSame(await events.after(0, undefined, 10), []);
  t.strictSame(told, []);
});

t.test(
  'one of fifty that begin at the same time gets the lock, the others are told who has it',
  async (t) => {
    const { deployments, locks } = await storeIn(t);
    const begun = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => deployments.begin({ ...asked, by: `person-${index}` })),
    );
    const won = begun.filter((each) => each.status === 'fulfilled');
    t.equal(won.length, 1);
    const id = won[0]!.value;
    const { by } = await deployments.get(id);
    t.match(await locks.list(), [
      { service: 'segmenter', environment: 'production', deployment: id, owner: by },
    ]);
    for (const lost of begun.filter((each) => each.status === 'rejected')) {
      t.match(lost.reason, {
        code: 'locked',
        message: new RegExp(`being deployed by ${by} since .* \\(deployment ${id}\\)`),
        next: `fleet attach ${id} to watch it, fleet abort ${id} to stop it`,
        data: { deployment: id, owner: by },
      });
    }
    t.equal((await deployments.list({ limit: 100 })).length, 1, 'nothing is left of those that lost');
    t.ok(await deployments.begin({ ...asked, environment: 'staging' }), 'another environment is free');
    t.ok(await deployments.begin({ ...asked, service: 'cubed' }), 'another service too');
  },
);

t.test('the end of a deployment frees its lock, in the same commit', async (t) => {
  const { deployments, locks, events } = await storeIn(t);
  const id = await deployments.begin(asked);
  const end = { state: 'succeeded', exit: 0 } as const;
  const ended = { type: 'deployment.ended', recap: sampleRecap(id) } as const;
  const broken = deployments.end(id, end, ended, async () => {
    throw new FleetError('internal', 'broken');
  });
  await t.rejects(broken, { message: 'broken' });
  t.match(await deployments.get(id), { state: 'resolving', exit: null, endedAt: null });
  t.equal((await locks.list()).length, 1, 'still locked');

  const heldWhenTold: Array<Promise<number>> = [];
  events.follow(() => {
    heldWhenTold.push(locks.list().then((held) => held.length));
  });
  await deployments.end(id, end, ended);
  t.match(await deployments.get(id), { state: 'succeeded', exit: 0, endedAt: /^20/ });
  t.strictSame(await Promise.all(heldWhenTold), [0], 'whoever hears of the end may begin');
  t.strictSame(await deployments.unfinished(), []);
  t.ok(await deployments.begin(asked));
});

t.test('a plan is stored whole, and read back as it was', async (t) => {
  const file = fileIn(t);
  const store = await createStore(file);
  const id = await store.deployments.begin({ ...asked, why: 'a fix', request: { service: 'segmenter' } });
  const plan = samplePlan(1700);
  await store.deployments.plan(id, plan, note('planned'));
  await store.close();

  const { deployments, steps } = await storeIn(t, file);
  t.match(await deployments.unfinished(), [
    { id, state: 'running', version: '1.1.0', settings: { keep: 5 }, why: 'a fix', by: 'ann' },
  ]);
  t.strictSame(
    (await deployments.hosts(id)).map(({ host }) => host),
    ['b', 'a'],
    'in the order of deploying',
  );
  const stored = await steps.list(id);
  t.match(stored, plan.steps);
  t.match(stored[0], { state: 'pending', outcome: null, memo: null });
});

t.test('what was aborted before it was planned is not planned any more', async (t) => {
  const { deployments, steps } = await storeIn(t);
  const id = await deployments.begin(asked);
  t.equal(await deployments.abort(id, note('aborts')), 'aborting');
  await t.rejects(deployments.plan(id, samplePlan(3), note('planned')), { code: 'aborted' });
  t.strictSame(await steps.list(id), []);
  t.strictSame(await deployments.hosts(id), []);
});

t.test('abort asks only what is under way', async (t) => {
  const { deployments } = await storeIn(t);
  const id = await deployments.begin(asked);
  await deployments.plan(id, samplePlan(1), note('planned'));
  t.equal(await deployments.abort(id, note('aborts')), 'aborting');
  t.equal(await deployments.abort(id, note('aborts')), 'aborting', 'twice is fine');
  const recap = sampleRecap(id);
  await deployments.end(id, { state: 'aborted', exit: 5 }, { type: 'deployment.ended', recap });
  await t.rejects(deployments.abort(id, note('aborts')), { code: 'not_running', message: /aborted/ });
  await t.rejects(deployments.abort(99, note('aborts')), { code: 'unknown_deployment', message: /99/ });
});

t.test('pause and resume, planned or not', async (t) => {
  const { deployments, events } = await storeIn(t);
  const id = await deployments.begin(asked);
  await t.rejects(deployments.resume(id, note('resumes')), { code: 'not_paused', message: /resolving/ });
  t.equal(await deployments.pause(id, note('pauses')), 'paused');
  t.equal(await deployments.pause(id, note('pauses')), 'paused', 'twice is fine');
  t.equal(await deployments.resume(id, note('resumes')), 'resolving');
  await deployments.pause(id, note('pauses'));
  await deployments.plan(id, samplePlan(1), note('planned'));
  t.match(await deployments.get(id), { state: 'paused', version: '1.1.0' }, 'a plan does not end a pause');
  t.match(await deployments.unfinished(), [{ id }]);
  await t.rejects(deployments.begin(asked), { code: 'locked', message: /paused/, next: /fleet resume 1/ });
  t.equal(await deployments.resume(id, note('resumes')), 'running');
  await deployments.pause(id, note('pauses'));
  t.equal(await deployments.abort(id, note('aborts')), 'aborting');
  await t.rejects(deployments.pause(id, note('pauses')), { code: 'not_running', message: /aborted/ });
  await t.rejects(deployments.resume(id, note('resumes')), { code: 'not_paused' });
  const recap = sampleRecap(id);
  await deployments.end(id, { state: 'aborted', exit: 5 }, { type: 'deployment.ended', recap });
  for (const ask of ['pause', 'resume'] as const)
    await t.rejects(deployments[ask](id, note(ask)), { code: 'not_running', next: `fleet recap ${id}` });
  const kept = await events.after(0, TOPIC, 100);
  t.equal(kept.length, 9, 'what is refused leaves no event');
});

t.test('events are looked at until there is what is waited for', async (t) => {
  const { deployments, events } = await storeIn(t);
  const id = await deployments.begin(asked);
  const never = new AbortController().signal;
  const unpaused = async () => ((await deployments.get(id)).state === 'paused' ? undefined : 'goes on');
  t.equal(await events.until(TOPIC, never, unpaused), 'goes on', 'at once');

  await deployments.pause(id, note('pauses'));
  let looks = 0;
  const waiting = events.until(TOPIC, never, () => {
    looks++;
    return unpaused();
  });
  events.tell(TOPIC, note('progress'));
  await events.append('deployment/2', note('of another'));
  await events.append(TOPIC, note('of this one'));
  await deployments.resume(id, note('resumes'));
  t.equal(await waiting, 'goes on');
  t.equal(looks, 3, 'at first, and after each kept event of the topic');

  const parking = new AbortController();
  const parked = events.until(TOPIC, parking.signal, async () => undefined);
  parking.abort();
  t.equal(await parked, undefined);
  t.equal(await events.until(TOPIC, parking.signal, async () => t.fail('looked')), undefined);
});

t.test('steps are written before and after, and remember', async (t) => {
  const { deployments, steps, events } = await storeIn(t);
  const id = await deployments.begin(asked);
  await deployments.plan(id, samplePlan(4), note('planned'));
  await steps.begin(id, 1, note('begins'));
  t.match((await steps.list(id))[0], { state: 'running', startedAt: /^20/ });
  await steps.remember(id, 1, { foreign: true });
  const error = { code: 'disk_full', message: 'full' } as const;
  await steps.end(id, 1, { outcome: 'failed', message: 'full', error, ms: 12.5 }, note('ended'));
  t.match((await steps.list(id))[0], {
    state: 'done',
    outcome: 'failed',
    memo: { foreign: true },
    error,
    message: 'full',
    ms: 12.5,
  });
  await steps.begin(id, 2, note('begins'));
  await steps.skipPending(id);
  t.strictSame(
    (await steps.list(id)).map(({ state, outcome }) => [state, outcome]),
    [
      ['done', 'failed'],
      ['running', null],
      ['done', 'skipped'],
      ['done', 'skipped'],
    ],
    'only what was never begun is skipped',
  );
  t.equal((await events.after(0, `deployment/${id}`, 10)).length, 4);

  await deployments.fail(id, { host: 'a', step: 'stage', code: 'disk_full', message: 'full' });
  await deployments.fail(id, { host: 'b', step: 'stage', code: 'internal', message: 'then this' });
  t.match(
    await deployments.get(id),
    { failure: { host: 'a', code: 'disk_full' } },
    'the first is the reason',
  );
});

t.test(
  'rollback points: newest first, and a version that was left is marked on its host alone',
  async (t) => {
    const store = await storeIn(t);
    const id = await store.deployments.begin(asked);
    const where = { deployment: id, service: 'segmenter', environment: 'production' };
    const points: Array<[host: string, version: string]> = [
      ['a', '1.0.0'],
      ['b', '1.0.0'],
      ['a', '1.1.0'],
      ['b', '1.1.0'],
    ];
    for (const [host, version] of points) {
      const point = { ...where, host, version, identity: '0'.repeat(64), values: { PORT: '8000' } };
      await store.events.append(TOPIC, note(version), (trx) => addRollbackPoint(trx, point));
    }
    await store.events.append(TOPIC, note('left'), (trx) =>
      leaveVersion(trx, { ...where, host: 'a', version: '1.1.0' }),
    );
    const listed = await store.rollbackPoints.list('segmenter', 'production');
    t.strictSame(
      listed.map(({ host, version, leftBy }) => [host, version, leftBy]),
      [
        ['b', '1.1.0', null],
        ['a', '1.1.0', id],
        ['b', '1.0.0', null],
        ['a', '1.0.0', null],
      ],
    );
    t.strictSame(listed[0]?.values, { PORT: '8000' });
    t.strictSame(await store.rollbackPoints.list('segmenter', 'staging'), []);
  },
);

t.test('a record of a hidden host stays open until it is closed', async (t) => {
  const { deployments, hidden } = await storeIn(t);
  const deployment = await deployments.begin(asked);
  const about = { service: 'segmenter', environment: 'production', host: 'a', deployment };
  await hidden.open({ ...about, reason: 'first' });
  const [first] = await hidden.list();
  await hidden.open({ ...about, reason: 'second' });
  t.strictSame(await hidden.list(), [{ ...first!, reason: 'second' }], 'hidden since the first time');
  t.equal(await hidden.has('segmenter', 'production', 'a'), true);
  t.equal(await hidden.has('segmenter', 'production', 'b'), false);
  t.equal(await hidden.has('segmenter', 'staging', 'a'), false);
  await hidden.close('segmenter', 'production', 'a');
  t.strictSame(await hidden.list(), []);
});

t.test('hosts are what they said last', async (t) => {
  const { hosts } = await storeIn(t);
  const said = {
    host: 'web-1',
    instance: 'i',
    labels: { role: 'web' },
    platform: 'linux-x64',
    agent: '0.1.0',
    bootId: 'boot',
    freeDisk: 1e12,
    services: [{ service: 'segmenter', current: null, releases: [] }],
  };
  await hosts.save(said);
  await hosts.save({ ...said, labels: { role: 'worker' }, freeDisk: 5 });
  t.match(await hosts.list(), [{ ...said, labels: { role: 'worker' }, freeDisk: 5 }]);
  t.equal((await hosts.list()).length, 1);
  t.equal(await hosts.forget('web-1'), true);
  t.equal(await hosts.forget('web-1'), false);
  t.strictSame(await hosts.list(), []);
});

t.test('builds do not outlive the controller', async (t) => {
  const { builds, events } = await storeIn(t);
  const [done, left] = [await builds.begin('segmenter', 'main'), await builds.begin('segmenter', 'main')];
  const end = { version: '1.1.0', built: true, error: null };
  await builds.end(done, end, { type: 'build.ended', ms: 1, notes: [], ...end });
  await builds.failUnfinished();
  t.match(await builds.get(done), { state: 'succeeded', version: '1.1.0', built: true, error: null });
  t.match(await builds.get(left), { state: 'failed', error: { code: 'build_failed' } });
  t.match(
    await events.after(0, `build/${left}`, 10),
    [{ event: { type: 'build.ended', version: null, error: { code: 'build_failed' } } }],
    'whoever watches it is told, and need not wait for ever',
  );
  await t.rejects(builds.get(99), { code: 'bad_request', message: /99/ });
});

t.test('what was reported as committed survives kill -9', async (t) => {
  const file = fileIn(t);
  for (const killAfter of [1, 7, 40]) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'committer.fixture.ts'), file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const begun: number[] = [];
    const ended: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, id] = line.split(' ');
      (what === 'begun' ? begun : ended).push(Number(id));
      if (begun.length >= killAfter) child.kill('SIGKILL');
    }
    await exited;

    const store = await createStore(file);
    for (const id of begun) t.equal((await store.deployments.get(id)).id, id, `begun ${id}`);
    for (const id of ended) t.equal((await store.deployments.get(id)).state, 'succeeded', `ended ${id}`);
    const unfinished = (await store.deployments.unfinished()).map(({ id }) => id);
    t.strictSame(
      (await store.locks.list()).map(({ deployment }) => deployment),
      unfinished,
      'what has not ended holds its lock, what has ended holds none',
    );
    // As a controller would: it ends what it finds, and the next one begins.
    for (const id of unfinished) {
      const recap = sampleRecap(id);
      await store.deployments.end(id, { state: 'failed', exit: 1 }, { type: 'deployment.ended', recap });
    }
    await store.close();
  }
});
