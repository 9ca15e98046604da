import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import t from 'tap';
import type { RollbackPoint } from '../store/rollbackPoints.ts';
import type { HostFacts } from './facts.ts';
import { previousGood } from './previous.ts';
import { type Begun, wayBack } from './rescue.ts';
import { facts, identityOf, strategy } from './values.fixture.ts';

const CYCLE: StepKind[] = [
  'stage',
  'hide',
  'drain',
  'activate',
  'restart',
  'smoke',
  'unhide',
  'settle',
  'record',
];
const WITHOUT_BALANCER = CYCLE.filter((kind) => !['hide', 'drain', 'unhide'].includes(kind));

/** A lane that came as far as `last`, which ended like that. */
function upTo(last: StepKind, outcome: Outcome = 'failed', cycle = CYCLE): Begun[] {
  const kinds = cycle.slice(0, cycle.indexOf(last) + 1);
  return kinds.map((kind, index) => ({ kind, outcome: index === kinds.length - 1 ? outcome : 'ok' }));
}

function back(host: HostFacts, begun: Begun[]) {
  const { steps, none } = wayBack(host, begun, strategy());
  return none ?? steps.map(({ kind }) => kind).join(' ');
}

const ALL_BACK = 'activate restart smoke unhide';

t.test('a way back for each step that can fail', async (t) => {
  const expected: Array<[StepKind, string]> = [
    ['stage', ''],
    ['hide', 'unhide'],
    ['drain', 'unhide'],
    ['activate', ALL_BACK],
    ['restart', ALL_BACK],
    ['smoke', ALL_BACK],
    ['unhide', 'verified, but hidden'],
    ['settle', `hide drain ${ALL_BACK}`],
    ['record', 'hide drain activate restart smoke record unhide'],
  ];
  for (const [failed, way] of expected)
    t.equal(back(facts('a'), upTo(failed)), way, `${failed} fails: ${way || 'nothing to do'}`);
});

t.test('without a balancer nobody is hidden or shown', async (t) => {
  const host = facts('a', { server: null });
  for (const failed of WITHOUT_BALANCER) {
    const recorded = failed === 'record' ? ' record' : '';
    const expected = failed === 'stage' ? '' : `activate restart smoke${recorded}`;
    t.equal(back(host, upTo(failed, 'failed', WITHOUT_BALANCER)), expected, `${failed} fails`);
  }
});

t.test('a host without a prior version stays hidden once its version was touched', async (t) => {
  const first = facts('a', { prior: null });
  for (const failed of ['activate', 'restart', 'smoke', 'settle', 'record'] as const)
    t.equal(back(first, upTo(failed)), 'there is no version to go back to', `${failed} fails`);
  t.equal(back(first, upTo('stage')), '');
  t.equal(back(first, upTo('drain')), 'unhide', 'nothing was touched: users may come back');
});

t.test('nothing is done to a host that does not answer', async (t) => {
  for (const lost of CYCLE)
    t.equal(back(facts('a'), upTo(lost, 'unreachable')), 'the host does not answer', lost);
});

t.test('the steps of the way back carry what ran before', async (t) => {
  const prior = { version: '0.9.0', identity: identityOf('0.9.0'), values: { PORT: '7000' } };
  const { steps } = wayBack(facts('a', { prior, server: 'srv-a' }), upTo('settle'), strategy({ drain: 500 }));
  t.strictSame(steps, [
    // A host that fails its checks serves errors: it goes, however few are left, and does not wait for ever.
    { kind: 'hide', server: 'srv-a', minVisible: 0 },
    { kind: 'drain', server: 'srv-a', timeoutMs: 500, onTimeout: 'go_on' },
    { kind: 'activate', version: '0.9.0', identity: prior.identity },
    { kind: 'restart', version: '0.9.0', values: { PORT: '7000' }, lenientStop: true },
    { kind: 'smoke', version: '0.9.0', values: { PORT: '7000' }, skip: [] },
    { kind: 'unhide', server: 'srv-a', timeoutMs: 60_000 },
  ]);
});

t.test('a host that was done well goes back by the rules for a well host', async (t) => {
  const { steps } = wayBack(facts('a'), upTo('record', 'ok'), strategy({ min_visible: 2 }));
  t.match(steps[0], { kind: 'hide', minVisible: 2 }, 'it serves users: never below min_visible');
  t.equal(
    steps.map(({ kind }) => kind).join(' '),
    'hide drain activate restart smoke record unhide',
    'that it runs the former version again is recorded, because the new one was',
  );
});

t.test('where a rollback goes by itself', async (t) => {
  let deployment = 0;
  const point = (host: string, version: string, leftBy: number | null = null): RollbackPoint => ({
    deployment: ++deployment,
    host,
    version,
    identity: identityOf(version),
    values: {},
    at: '2026-01-01T00:00:00.000Z',
    leftBy,
  });
  const both = (version: string, leftBy?: number) => [
    point('b', version, leftBy),
    point('a', version, leftBy),
  ];
  const runs = (a: string | null, b: string | null) =>
    new Map([
      ['a', a],
      ['b', b],
    ]);

  // Points are newest first.
  t.equal(previousGood([], runs(null, null)), undefined);
  t.equal(previousGood(both('1.0'), runs('1.0', '1.0')), undefined, 'there is only the one that runs');
  t.equal(previousGood([...both('1.1'), ...both('1.0')], runs('1.1', '1.1')), '1.0');
  t.equal(
    previousGood([...both('1.0'), ...both('1.1', 7), ...both('1.0'), ...both('0.9')], runs('1.0', '1.0')),
    '0.9',
    'never one that people went back from',
  );
  t.equal(
    previousGood([...both('1.1'), ...both('1.0'), ...both('1.1', 7)], runs('1.1', '1.1')),
    '1.0',
    'a version that was left and verified again counts as verified',
  );
  t.equal(
    previousGood([...both('1.0'), ...both('1.1'), ...both('1.0')], runs('1.0', '1.0')),
    '1.1',
    'one that was replaced and not gone back from is good',
  );
  t.equal(
    previousGood([point('a', '1.2'), ...both('1.1'), ...both('1.0')], runs('1.2', '1.1')),
    '1.1',
    'a mixed fleet becomes one again, on the newest that all have had',
  );
  t.equal(
    previousGood([point('a', '1.2'), point('b', '1.1'), ...both('1.0')], runs('1.2', '1.1')),
    '1.0',
    'what only one of them has had is not it',
  );
  t.equal(
    previousGood(
      [...both('1.2'), point('b', '1.1', 7), point('a', '1.1'), ...both('1.0')],
      runs('1.2', '1.2'),
    ),
    '1.0',
    'left on one host is left',
  );
  const subset = [point('b', '1.2'), point('a', '1.1'), point('b', '1.1'), point('b', '1.0')];
  t.equal(previousGood(subset, new Map([['b', '1.2']])), '1.1', 'only the targeted hosts count');
  t.equal(previousGood(subset, runs('1.1', '1.2')), '1.1');
});
