import t from 'tap';
import { environmentVersion, judge, type Last, type Member } from './behind.ts';

const OLD = '1.0.0';
const NEW = '1.1.0';
const DAY = '2026-01-02T00:00:00.000Z';
const LATER = Date.parse('2026-01-03T00:00:00.000Z');

/** Deployment 5 of NEW; each host as it ended there. */
function last(
  hosts: Record<string, 'ended' | 'lost'>,
  {
    passedBy = {},
    ...more
  }: Partial<Omit<Last, 'passedBy'>> & { passedBy?: Record<string, 'out' | 'away' | 'not_asked'> } = {},
): Last {
  return {
    id: 5,
    service: 'segmenter',
    environment: 'production',
    version: NEW,
    succeeded: true,
    startedAt: DAY,
    endedAt: DAY,
    onFailure: 'rollback_host',
    skipChecks: [],
    hosts: new Map(Object.entries(hosts).map(([host, end]) => [host, { lost: end === 'lost' }])),
    passedBy: new Map(Object.entries(passedBy)),
    ...more,
  };
}

/** Verified on a version by deployment 5, or on the old one by an earlier one. */
function member(host: string, version: string | null, more: Partial<Member> = {}): Member {
  const deployment = version === NEW ? 5 : 4;
  return {
    host,
    isOut: false,
    connected: true,
    current: version,
    verified: version === null ? null : { version, deployment },
    hidden: null,
    absent: false,
    since: '2026-01-01T00:00:00.000Z',
    letIn: null,
    tries: [],
    ...more,
  };
}

const of = (...[past, all, host = 'c', now = LATER]: [Last | undefined, Member[], string?, number?]) =>
  judge(past, all, host, now);

t.test('a host that is new gets what the others are verified on', async (t) => {
  const others = [member('a', NEW), member('b', NEW)];
  const past = last({ a: 'ended', b: 'ended' });
  t.match(of(past, [...others, member('c', null)]), {
    is: 'due',
    version: NEW,
    wanted: NEW,
    why: /has no version/,
  });
  t.match(of(past, [...others, member('c', NEW)]), { is: 'well', wanted: NEW });
  t.match(
    of(undefined, [...others, member('c', null)]),
    { is: 'well', wanted: null },
    'nothing was deployed',
  );
  t.match(of(past, [...others, member('c', null, { isOut: true })]), { is: 'well' }, 'it is out');
  t.match(of(past, [...others, member('c', null, { connected: false })]), {
    is: 'behind',
    why: /not connected/,
  });
});

t.test('a host that was away, or out, gets what was deployed meanwhile', async (t) => {
  const others = [member('a', NEW), member('b', NEW)];
  for (const reason of ['away', 'out'] as const) {
    const past = last({ a: 'ended', b: 'ended' }, { passedBy: { c: reason } });
    t.match(of(past, [...others, member('c', OLD)]), {
      is: 'due',
      version: NEW,
      why: /has 1\.0\.0, not 1\.1\.0/,
    });
  }
  const past = last({ a: 'ended' }, { passedBy: { b: 'away', c: 'away' } });
  const [a] = others;
  t.match(
    of(past, [a!, member('b', OLD), member('c', OLD)]),
    { is: 'due', version: NEW },
    'who was away says nothing',
  );
});

t.test('a host that was left out on purpose stays as it is, and says something', async (t) => {
  const past = last({ a: 'ended' }, { passedBy: { b: 'not_asked', c: 'not_asked' } });
  const mixed = [member('a', NEW), member('b', OLD), member('c', OLD)];
  for (const host of ['a', 'b', 'c']) t.match(of(past, mixed, host), { is: 'well', wanted: null });
  t.match(of(past, [...mixed, member('d', null)], 'd'), {
    is: 'behind',
    wanted: null,
    why: /differ: 1\.0\.0, 1\.1\.0/,
    next: 'fleet deploy segmenter -e production --version 1.1.0 --host d',
  });
  const letIn = '2026-01-02T10:00:00.000Z';
  const shown = [member('a', NEW), member('b', NEW), member('c', OLD, { letIn, hidden: 'out' })];
  t.match(of(past, shown), { is: 'due', version: OLD, why: /let in again/ }, 'it was out meanwhile');
  const hidden = [member('a', NEW), member('c', OLD, { hidden: 'hidden by deployment 4' })];
  t.match(of(past, hidden), { is: 'behind', why: /differ/ }, 'what an earlier one has left hidden');
  const broken = [member('a', NEW), member('c', OLD, { verified: null })];
  t.match(of(past, broken), { is: 'behind', why: /left out of deployment 5/ });
});

t.test('a host that was lost in a deployment that failed', async (t) => {
  const failed = { succeeded: false };
  const hosts = { a: 'ended', b: 'ended', c: 'lost' } as const;
  const lost = member('c', NEW, {
    verified: { version: OLD, deployment: 4 },
    hidden: 'hidden by deployment 5',
  });
  const seen = (a: string, b: string, more: { onFailure?: 'stop' } = {}) =>
    of(last(hosts, { ...failed, ...more }), [member('a', a), member('b', b), lost]);
  t.match(seen(NEW, NEW), { is: 'due', version: NEW, wanted: NEW }, 'it was the last one');
  t.match(seen(OLD, OLD), { is: 'due', version: OLD, wanted: OLD }, 'it was the first one');
  t.match(seen(NEW, OLD), {
    is: 'due',
    version: OLD,
    wanted: null,
    why: /goes back, as deployment 5 could not/,
  });
  t.match(seen(NEW, OLD, { onFailure: 'stop' }), { is: 'behind', why: /differ/ });
  const alone = of(last({ c: 'lost' }, failed), [lost]);
  t.match(alone, { is: 'due', version: OLD }, 'there is no other one');
  const fresh = of(last({ c: 'lost' }, failed), [{ ...lost, verified: null }]);
  t.match(fresh, { is: 'behind', why: /deployment 5 failed/ }, 'and it has nowhere to go back to');
});

t.test(
  'a host on which a deployment failed is a person’s, until it is another machine or boot',
  async (t) => {
    const past = last({ a: 'ended', b: 'ended', c: 'ended' }, { succeeded: false });
    const failed = member('c', NEW, {
      verified: { version: OLD, deployment: 4 },
      hidden: 'hidden by deployment 5',
    });
    const all = (more: Partial<Member>) => [member('a', NEW), member('b', NEW), { ...failed, ...more }];
    t.match(of(past, all({})), { is: 'behind', next: 'fleet retry 5' });
    const since = '2026-01-02T12:00:00.000Z';
    t.match(of(past, all({ since })), { is: 'due', version: NEW });
    t.match(of(past, all({ letIn: since })), { is: 'due', version: NEW });
  },
);

t.test('what is not known is not guessed', async (t) => {
  const past = last({ a: 'ended', b: 'ended' });
  const strange = member('a', NEW, { current: '9.9.9' });
  t.match(of(past, [strange, member('b', NEW), member('c', null)]), {
    is: 'behind',
    wanted: null,
    why: /a is not verified/,
  });
  const left = member('a', NEW, { verified: null });
  t.match(of(past, [left, member('b', NEW), member('c', null)]), { is: 'behind', why: /a is not verified/ });
  t.match(environmentVersion(last({ a: 'ended' }, { succeeded: false }), [member('c', null)], 'c'), {
    unknown: /failed/,
  });
});

t.test('hidden, or gone from the balancer', async (t) => {
  const past = last({ a: 'ended', b: 'ended', c: 'ended' });
  const all = (more: Partial<Member>) => [member('a', NEW), member('b', NEW), member('c', NEW, more)];
  t.match(of(past, all({ hidden: 'out' })), { is: 'due', version: NEW, why: /is hidden/ });
  t.match(of(past, all({ absent: true })), { is: 'due', version: NEW, why: /not in the balancer/ });
  const tries = [{ id: 6, startedAt: DAY, endedAt: DAY, end: 'well' as const }];
  const waits = all({ absent: true, hidden: 'write a line', tries });
  t.match(of(past, waits), { is: 'behind', why: /write a line/ }, 'the balancer does not take it in');
  t.match(of(past, all({ absent: true, tries })), { is: 'due' }, 'a reload has forgotten it');
});

t.test('what failed is not tried for ever', async (t) => {
  const past = last({ a: 'ended', b: 'ended' });
  const at = (minute: number) => `2026-01-02T10:${String(minute).padStart(2, '0')}:00.000Z`;
  const tries = (...ends: Array<'failed' | 'not begun'>) =>
    ends.map((end, n) => ({ id: 6 + n, startedAt: at(n), endedAt: at(n), end }));
  const all = (more: Partial<Member>) => [member('a', NEW), member('b', NEW), member('c', OLD, more)];
  const failed = tries('failed');
  t.match(of(past, all({ tries: failed })), {
    is: 'behind',
    why: /failed \(deployment 6\)/,
    next: 'fleet retry 6',
  });
  t.match(of(past, all({ tries: failed, since: at(5) })), { is: 'due' }, 'another boot');
  t.match(of(past, all({ tries: failed, letIn: at(5) })), { is: 'due' }, 'somebody asks');
  const lost = tries('not begun', 'not begun');
  t.match(of(past, all({ tries: lost }), 'c', Date.parse(at(2))), { is: 'behind', why: /tried again soon/ });
  t.match(of(past, all({ tries: lost }), 'c', Date.parse(at(4))), { is: 'due' });
  const often = tries(...Array<'not begun'>(6).fill('not begun'));
  t.match(of(past, all({ tries: often })), { is: 'behind' }, 'six times are enough');
});
