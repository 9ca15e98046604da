import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createStore } from './store.ts';

t.test('a rehearsal is written down when it begins, and told when it ends, once', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-rehearsals-'));
  const store = await createStore(join(dir, 'fleet.sqlite'));
  t.teardown(async () => {
    await store.close();
    rmSync(dir, { recursive: true });
  });
  const { rehearsals, events } = store;
  const id = await rehearsals.begin({ profile: 'web', host: 'rehearsal-web-1', by: 'ann' });
  t.match(await rehearsals.get(id), { endedAt: null, succeeded: null, report: null, by: 'ann' });
  const other = await rehearsals.begin({ profile: 'db', host: 'rehearsal-db-1', by: 'ann' });

  const ended = (name: string, outcome: 'ok' | 'failed') => ({
    ...{ succeeded: outcome === 'ok', facts: null, findings: [], services: [] },
    phases: [{ name, outcome, ms: 5, message: outcome === 'ok' ? null : 'no room' }],
  });
  await rehearsals.end(id, ended('up', 'failed'));
  await rehearsals.end(other, ended('up', 'ok'));
  t.match(await rehearsals.get(id), { succeeded: false, report: ended('up', 'failed'), endedAt: /^2/ });
  await t.rejects(rehearsals.end(id, ended('up', 'ok')), { code: 'bad_request', message: /ended already/ });
  await t.rejects(rehearsals.get(99), { code: 'bad_request', next: 'fleet rehearsals lists them' });
  t.strictSame(
    (await rehearsals.list({ limit: 5 })).map(({ id }) => id),
    [other, id],
  );
  t.match(await rehearsals.list({ profile: 'web', limit: 5 }), [{ id, succeeded: false }]);
  t.match(await events.after(0, undefined, 10), [
    { topic: `rehearsal/${id}`, event: { type: 'rehearsal.ended', succeeded: false, why: 'up: no room' } },
    { topic: `rehearsal/${other}`, event: { succeeded: true, why: null } },
  ]);
});
