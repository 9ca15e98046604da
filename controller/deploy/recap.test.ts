import type { StepKind } from '@fleet/protocol/api/plans.ts';
import { recap as schema } from '@fleet/protocol/api/recap.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import t from 'tap';
import type { DeploymentRecord, Failure } from '../store/deployments.ts';
import type { StepRecord } from '../store/steps.ts';
import type { FinalReport, HostFacts } from './facts.ts';
import { type RecapInput, recapOf } from './recap.ts';
import { facts, identityOf } from './values.fixture.ts';

const NEW = '1.1.0';
const OLD = '1.0.0';
const NOW = new Date('2026-01-01T00:01:12.000Z');

const deployment: DeploymentRecord = {
  id: 42,
  kind: 'deploy',
  service: 'segmenter',
  environment: 'production',
  version: NEW,
  state: 'running',
  isPaused: false,
  by: 'ann',
  why: null,
  request: {},
  apart: null,
  settings: {},
  failure: null,
  exit: null,
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: null,
};
const failure: Failure = { host: 'b', step: 'smoke', code: 'check_failed', message: 'answers did not pass' };

/** `hide:ok restart:changed smoke:failed`, and behind a `|` the way back. */
function steps(host: string, text: string): StepRecord[] {
  const [planned = '', back = ''] = text.split('|');
  const parse = (part: string, rescue: boolean) =>
    part
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '')
      .map((word): StepRecord => {
        const [kind, outcome] = word.split(':') as [StepKind, Outcome | undefined];
        return {
          step: 0,
          phase: 0,
          phaseName: 'batch',
          parallel: 1,
          host,
          kind,
          rescue,
          args: {},
          says: '',
          state: outcome === undefined ? 'pending' : 'done',
          outcome: outcome ?? null,
          memo: null,
          message: null,
          error: null,
          startedAt: null,
          ms: null,
        };
      });
  return [...parse(planned, false), ...parse(back, true)];
}

const WELL =
  'stage:changed hide:ok drain:ok activate:changed restart:changed smoke:ok unhide:ok settle:ok record:ok';
const SKIPPED =
  'stage:changed hide:skipped drain:skipped activate:skipped restart:skipped smoke:skipped unhide:skipped settle:skipped record:skipped';
const RESCUED =
  'stage:changed hide:ok drain:ok activate:changed restart:changed smoke:failed unhide:skipped settle:skipped record:skipped | activate:changed restart:changed smoke:ok unhide:ok';

type Known = Extract<FinalReport, { known: true }>;
const runs = (version: string | null, more: Partial<Known> = {}): FinalReport => ({
  known: true,
  current: version,
  running: version,
  identity: version === null ? null : identityOf(version),
  state: version === null ? 'stopped' : 'running',
  hidden: false,
  ...more,
});
const unknown: FinalReport = { known: false, why: 'b is not connected', hidden: false };

interface Told {
  steps: string;
  report: FinalReport | null;
  facts?: Partial<HostFacts>;
}
function recap(
  hosts: Record<string, Told>,
  more: Partial<DeploymentRecord> = {},
  { ending }: Pick<RecapInput, 'ending'> = { ending: true },
) {
  const made = recapOf({
    deployment: { ...deployment, ...more },
    identity: identityOf(NEW),
    interruptions: [],
    passedBy: [],
    hosts: Object.entries(hosts).map(([host, told]) => ({
      facts: facts(host, told.facts),
      report: told.report,
    })),
    steps: Object.entries(hosts).flatMap(([host, told]) => steps(host, told.steps)),
    now: NOW,
    ending,
  });
  t.strictSame(schema.parse(made), made, 'it has the form that the API declares');
  return made;
}

t.test('all well', async (t) => {
  const made = recap({ a: { steps: WELL, report: runs(NEW) }, b: { steps: WELL, report: runs(NEW) } });
  t.strictSame(made, {
    deployment: 42,
    service: 'segmenter',
    version: NEW,
    environment: 'production',
    state: 'succeeded',
    durationMs: 72_000,
    hosts: ['a', 'b'].map((host) => ({
      host,
      ok: 8,
      changed: 2,
      unreachable: 0,
      failed: 0,
      skipped: 0,
      rescued: 0,
      ignored: 0,
      running: NEW,
      notes: [],
    })),
    failure: null,
    interruptions: [],
    passedBy: [],
    before: ['1.0.0'],
    exit: 0,
  });
});

t.test('a failed host is rescued, later ones were never started', async (t) => {
  const made = recap(
    {
      a: { steps: RESCUED, report: runs(OLD) },
      b: { steps: SKIPPED, report: runs(OLD) },
    },
    { failure },
  );
  t.match(made, { state: 'restored', exit: 5, failure });
  t.match(made.hosts, [
    { host: 'a', failed: 1, rescued: 1, ok: 8, changed: 4, skipped: 3, running: OLD },
    { host: 'b', ok: 0, changed: 0, failed: 0, skipped: 8, rescued: 0, running: OLD },
  ]);
});

t.test('the second host fails: hosts are mixed', async (t) => {
  const made = recap(
    { a: { steps: WELL, report: runs(NEW) }, b: { steps: RESCUED, report: runs(OLD) } },
    { failure },
  );
  t.match(made, { state: 'failed', exit: 1, hosts: [{ running: NEW }, { running: OLD, rescued: 1 }] });
});

t.test('a way back that fails has rescued nobody', async (t) => {
  const broken = RESCUED.replace('smoke:ok unhide:ok', 'smoke:failed unhide:skipped');
  const made = recap({ a: { steps: broken, report: runs(OLD, { hidden: true }) } }, { failure });
  t.match(made, {
    state: 'failed',
    exit: 1,
    hosts: [{ failed: 2, rescued: 0, skipped: 4, notes: [/stays hidden/] }],
  });
});

t.test('left hidden is neither well nor as before', async (t) => {
  const text = WELL.replace('unhide:ok settle:ok record:ok', 'unhide:failed settle:skipped record:skipped');
  const made = recap({ a: { steps: text, report: runs(NEW, { hidden: true }) } }, { failure });
  t.match(made, { state: 'failed', exit: 1, hosts: [{ running: NEW, notes: [/stays hidden/] }] });
  const rescuedButHidden = recap({ a: { steps: RESCUED, report: runs(OLD, { hidden: true }) } }, { failure });
  t.equal(rescuedButHidden.exit, 1);
});

t.test('a failed staging has changed nothing', async (t) => {
  const skipped = SKIPPED.replace('stage:changed', 'stage:failed');
  const made = recap(
    { a: { steps: SKIPPED, report: runs(OLD) }, b: { steps: skipped, report: runs(OLD) } },
    { failure: { ...failure, step: 'stage', code: 'disk_full' } },
  );
  t.match(made, {
    state: 'restored',
    exit: 5,
    hosts: [
      { ok: 0, failed: 0 },
      { ok: 0, failed: 1 },
    ],
  });
  const first = { prior: null };
  const never = recap({ a: { steps: skipped, report: runs(null), facts: first } }, { failure });
  t.equal(never.exit, 5, 'nothing ran before, nothing runs now');
  const left = recap(
    { a: { steps: skipped, report: runs(null, { current: NEW }), facts: first } },
    { failure },
  );
  t.equal(left.exit, 1, 'but something was left behind');
});

t.test('what is not known is never green', async (t) => {
  const silent = recap({ a: { steps: WELL, report: runs(NEW) }, b: { steps: WELL, report: unknown } });
  t.match(silent, {
    state: 'failed',
    exit: 1,
    hosts: [{}, { unreachable: 1, running: null, notes: ['not known what runs: b is not connected'] }],
  });
  const lost = WELL.replace(/restart.*/, 'restart:unreachable smoke:skipped unhide:skipped record:skipped');
  const made = recap({ b: { steps: lost, report: { ...unknown, hidden: true } } }, { failure });
  t.match(made, { exit: 1, hosts: [{ unreachable: 1, ok: 3, skipped: 3, running: null }] });
  t.match(made.hosts[0]?.notes, [/stays hidden/, /not known what runs/]);
  t.equal(recap({ a: { steps: WELL, report: null } }).exit, 1, 'no report at all');
});

t.test('where steps and report disagree, it says so', async (t) => {
  const disagreeing: Array<[string, FinalReport, RegExp, exit?: number]> = [
    // Not green, and still the truth: every host runs what it ran before.
    ['it went back by itself', runs(OLD), /was verified on 1\.1\.0, and now reports .*running 1\.0\.0/, 5],
    ['it died', runs(NEW, { running: null, state: 'failed' }), /running none \(failed\)/],
    ['the old one still runs', runs(NEW, { running: OLD }), /current 1\.1\.0, running 1\.0\.0/],
    ['its content is another', runs(NEW, { identity: identityOf('other') }), /other content/],
  ];
  for (const [what, report, note, exit = 1] of disagreeing) {
    const made = recap({ a: { steps: WELL, report } });
    t.match(made, { exit, hosts: [{ ok: 8, failed: 0, notes: [note] }] }, what);
  }
  const half = recap({ a: { steps: RESCUED, report: runs(OLD, { running: NEW }) } }, { failure });
  t.match(half, { exit: 1, hosts: [{ notes: [/current is 1\.0\.0, but 1\.1\.0 runs/] }] });
  const otherContent = recap(
    { a: { steps: RESCUED, report: runs(OLD, { identity: identityOf('other') }) } },
    { failure },
  );
  t.equal(otherContent.exit, 1, 'the former version with other content is not what ran before');
});

t.test('ignored steps are counted and are not failures', async (t) => {
  const made = recap({ a: { steps: WELL.replace('smoke:ok', 'smoke:ignored'), report: runs(NEW) } });
  t.match(made, { exit: 0, hosts: [{ ignored: 1, ok: 7 }] });
});

t.test('a host that somebody else had hidden', async (t) => {
  const made = steps('a', WELL);
  made.find(({ kind }) => kind === 'hide')!.memo = { foreign: true };
  const { hosts, exit } = recapOf({
    deployment,
    identity: identityOf(NEW),
    interruptions: [],
    passedBy: [],
    hosts: [{ facts: facts('a'), report: runs(NEW) }],
    steps: made,
    now: NOW,
    ending: true,
  });
  t.equal(exit, 0);
  t.match(hosts, [{ notes: ['was hidden by somebody else before, and stays so'] }]);
});

t.test('aborted', async (t) => {
  const state = 'aborting';
  const hosts = { a: { steps: WELL, report: runs(NEW) }, b: { steps: SKIPPED, report: runs(OLD) } };
  t.match(recap(hosts, { state }), { state: 'aborted', exit: 1 }, 'between two hosts');
  const { b } = hosts;
  t.match(recap({ b }, { state }), { state: 'aborted', exit: 5 }, 'before the first');
  t.match(recap({ a: hosts.a }, { state }), { state: 'succeeded', exit: 0 }, 'too late');
  const aborted: Failure = { host: null, step: null, code: 'aborted', message: 'ann stopped it' };
  t.match(recap({}, { state, version: null, failure: aborted }), { state: 'aborted', exit: 1 });
});

t.test('ended before there was a plan', async (t) => {
  const before = (code: string) =>
    recap({}, { version: null, failure: { host: null, step: null, code, message: code } });
  t.match(before('build_failed'), { state: 'failed', exit: 1, hosts: [] });
  t.match(before('min_visible'), { state: 'refused', exit: 3 });
  t.match(before('unknown_version'), { state: 'failed', exit: 2 });
  t.match(before('what is this'), { state: 'failed', exit: 1 });
});

t.test('one that has not ended is not green yet', async (t) => {
  const under = { ending: false };
  const half = {
    a: { steps: WELL, report: null },
    b: { steps: 'stage:changed hide:ok drain', report: null },
  };
  t.match(recap(half, {}, under), { state: 'running', exit: 1, hosts: [{ ok: 8 }, { ok: 1 }] });
  t.match(recap({}, { state: 'resolving', version: null }, under), { state: 'running', exit: 1 });
  const well = { a: { steps: WELL, report: runs(NEW) } };
  t.match(recap(well, {}, under), { state: 'running', exit: 1 }, 'not before its end is written');
  t.match(
    recap(well, { state: 'succeeded', endedAt: '2026-01-01T00:00:05.000Z' }, under),
    { state: 'succeeded', exit: 0, durationMs: 5000 },
    'later it is computed anew, and is the same',
  );
});
