import { join } from 'node:path';
import type { AuditHead, AuditRow } from '@fleet/protocol/api/audit.ts';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { type AuditEntry, auditHash, NO_ROWS } from '../store/audit.ts';
import { createStore, type Store } from '../store/store.ts';
import { verifyAudit } from './chain.ts';

const entry: AuditEntry = { who: 'ann', from: '127.0.0.1', what: 'deployments.start', outcome: 'asked' };

/** A log of ten rows, what was noted of it at its sixth and last one, and the database as an insider has it. */
async function tenRows(
  t: Test,
): Promise<{ store: Store; insider: Database.Database; sixth: AuditHead; head: AuditHead }> {
  const file = join(t.testdir(), 'fleet.sqlite');
  const store = await createStore(file);
  t.teardown(() => store.close());
  let sixth = NO_ROWS;
  for (let row = 1; row <= 10; row++) {
    const { seq, hash } = await store.audit.append({
      ...entry,
      details: { service: 'segmenter', host: `web-${row}` },
    });
    if (row === 6) sixth = { seq, hash };
  }
  const insider = new Database(file);
  t.teardown(() => insider.close());
  return { store, insider, sixth, head: await store.audit.head() };
}

t.test('a log that nobody touched is as it was written', async (t) => {
  const { store, sixth, head } = await tenRows(t);
  for (const noted of [undefined, sixth, head])
    t.strictSame(await verifyAudit(store.audit, noted), { rows: 10, head, fault: null });
  for (const page of [1, 5, 9, 10, 11])
    t.match(
      await verifyAudit(store.audit, head, page),
      { rows: 10, fault: null },
      `read ${page} rows at a time`,
    );
  t.strictSame(head.seq, 10);
});

t.test('the first row that is not as it was written is named', async (t) => {
  const spoilt: Record<string, [sql: string, seq: number, says: RegExp]> = {
    'who, in the middle': ["update audit set who = 'bob' where seq = 4", 4, /row 4 was edited/],
    'the address': ['update audit set "from" = \'::1\' where seq = 1', 1, /row 1 was edited/],
    'the moment': [
      "update audit set at = '2020-01-01T00:00:00.000Z' where seq = 10",
      10,
      /row 10 was edited/,
    ],
    'the details': ["update audit set details = '{}' where seq = 5", 5, /row 5 was edited/],
    'details that are no JSON': ["update audit set details = 'x' where seq = 5", 5, /row 5 was edited/],
    'how it ended': ["update audit set outcome = 'refused' where seq = 5", 5, /row 5 was edited/],
    'two of them': ["update audit set who = 'bob' where seq in (7, 3)", 3, /row 3 was edited/],
    'taken out': ['delete from audit where seq = 5', 5, /row 5 is missing/],
    'the first': ['delete from audit where seq = 1', 1, /row 1 is missing/],
    'the end': ['delete from audit where seq > 7', 8, /row 8 is missing: 10 rows were written/],
    'all of it': ['delete from audit', 1, /row 1 is missing/],
    exchanged: [
      'update audit set seq = 100 where seq = 3; update audit set seq = 3 where seq = 4; update audit set seq = 4 where seq = 100',
      3,
      /row 3/,
    ],
    'closed up after one was taken out': [
      'delete from audit where seq = 5; update audit set seq = -(seq - 1) where seq > 5; update audit set seq = -seq where seq < 0',
      5,
      /row 5/,
    ],
    'a hash': [`update audit set hash = '${'a'.repeat(64)}' where seq = 2`, 2, /row 2 was edited/],
    'a binding': [`update audit set previous = '${'a'.repeat(64)}' where seq = 2`, 2, /row 2 was edited/],
  };
  for (const [what, [sql, seq, says]] of Object.entries(spoilt))
    await t.test(what, async (t) => {
      const { store, insider } = await tenRows(t);
      insider.exec(sql);
      const { fault } = await verifyAudit(store.audit);
      t.equal(fault?.seq, seq);
      t.match(fault?.message, says);
    });
});

t.test('a row that was made anew with its own hash is not what the next one follows', async (t) => {
  const { store, insider } = await tenRows(t);
  const [fifth] = (await store.audit.after(4, 1)) as [AuditRow];
  const { hash: _, ...row } = fifth;
  const told = { ...row, who: 'bob' };
  insider.prepare('update audit set who = ?, hash = ? where seq = 5').run('bob', auditHash(told));
  t.match(await verifyAudit(store.audit), { fault: { seq: 6, message: /row 6 does not follow/ } });
});

t.test('who makes all the hashes anew is found by a head that was noted elsewhere', async (t) => {
  const { store, insider, sixth, head } = await tenRows(t);
  const rows = await store.audit.after(0, 100);
  let last = NO_ROWS;
  const write = insider.prepare('update audit set who = ?, previous = ?, hash = ? where seq = ?');
  for (const { hash: _, ...row } of rows) {
    const told = { ...row, who: row.seq >= 5 ? 'bob' : row.who, previous: last.hash };
    last = { seq: row.seq, hash: auditHash(told) };
    write.run(told.who, told.previous, last.hash, row.seq);
  }
  insider.prepare("update meta set value = ? where key = 'audit_head'").run(`10:${last.hash}`);
  t.match(await verifyAudit(store.audit), { fault: null }, 'by itself it looks well');
  for (const noted of [sixth, head])
    t.match(await verifyAudit(store.audit, noted), {
      fault: { seq: noted.seq, message: /the log was written anew/ },
    });
});

t.test(
  'an end that is cut off with its head is found by one that was noted, also after more was written',
  async (t) => {
    const { store, insider, sixth, head } = await tenRows(t);
    insider.exec(
      `delete from audit where seq > 6; update meta set value = '6:${sixth.hash}' where key = 'audit_head'`,
    );
    t.match(await verifyAudit(store.audit), { fault: null });
    t.match(await verifyAudit(store.audit, head), { fault: { seq: 7, message: /row 10 was noted/ } });
    for (let row = 7; row <= 12; row++) await store.audit.append(entry);
    t.match(await verifyAudit(store.audit, head), { fault: { seq: 10, message: /written anew/ } });
    t.match(await verifyAudit(store.audit, sixth), { fault: null });
  },
);

t.test('what is appended after a loss does not hide it', async (t) => {
  const { store, insider } = await tenRows(t);
  insider.exec('delete from audit where seq > 7');
  await store.audit.append(entry);
  t.match(await verifyAudit(store.audit), { fault: { seq: 8 } });
});

t.test('rows of many at once stand in one line', async (t) => {
  const { store } = await tenRows(t);
  const told: number[] = [];
  store.audit.follow(({ seq }) => told.push(seq));
  await Promise.all(Array.from({ length: 50 }, () => store.audit.append(entry)));
  t.match(await verifyAudit(store.audit), { rows: 60, fault: null });
  t.equal(new Set(told).size, 50, 'and each is told to the log');
});
