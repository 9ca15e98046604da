import { controllerConfig } from '@fleet/config/controller.ts';
import t from 'tap';
import { type LabelledHost, placementOf } from '../config/config.ts';
import type { GateInput } from '../gates/gate.ts';
import { refusals } from '../gates/gates.ts';
import { type PlanInput, plan } from './plan.ts';
import { type Asked, selectHosts } from './select.ts';
import { says, stepArgs } from './step.ts';
import { batchSizes, inBatches } from './strategies/batches.ts';
import { facts, identityOf, once, strategy } from './values.fixture.ts';

const NEW = '1.1.0';
const ABC = ['a', 'b', 'c'];

function asked(more: Partial<PlanInput> = {}): PlanInput {
  return {
    kind: 'deploy',
    version: NEW,
    identity: identityOf(NEW),
    hosts: ABC.map((host) => facts(host)),
    strategy: strategy(),
    once: [],
    onceOn: 'a',
    skipChecks: [],
    ...more,
  };
}

/** A plan as a person would write it down: `a: hide drain activate`. */
function written(input: Partial<PlanInput>): Record<string, string[]> {
  const { phases } = plan(asked(input));
  return Object.fromEntries(
    phases.map(({ name, lanes }) => [
      name,
      lanes.map(({ host, steps }) => `${host}: ${steps.map(({ args }) => args.kind).join(' ')}`),
    ]),
  );
}

const CYCLE = 'hide drain activate restart smoke unhide settle record';
const stagedOn = (hosts: string[]) => hosts.map((host) => `${host}: stage`);

t.test('serial: everything is staged everywhere, then one host after the other', async (t) => {
  t.strictSame(written({}), {
    stage: stagedOn(ABC),
    'batch 1 of 3': [`a: ${CYCLE}`],
    'batch 2 of 3': [`b: ${CYCLE}`],
    'batch 3 of 3': [`c: ${CYCLE}`],
  });
  const { phases, noop } = plan(asked());
  t.equal(noop, false);
  t.strictSame(
    phases.map(({ parallel }) => parallel),
    [8, 1, 1, 1],
    'staging is as wide as the strategy says, a batch as its hosts',
  );
});

t.test('batches: each host has a lane of its own', async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `web-${index + 1}`);
  const { phases } = plan(
    asked({ hosts: names.map((name) => facts(name)), strategy: strategy({ batch: ['1', '5', '20%'] }) }),
  );
  const [stage, ...rest] = phases;
  t.equal(stage?.lanes.length, 12);
  t.strictSame(
    rest.map(({ lanes, parallel }) => [lanes.length, parallel]),
    [
      [1, 1],
      [5, 5],
      [2, 2],
      [2, 2],
      [2, 2],
    ],
  );
  t.strictSame(
    rest.flatMap(({ lanes }) => lanes.map(({ host }) => host)),
    names,
    'in order, each once',
  );
});

t.test('sizes of batches', async (t) => {
  const sizes: Array<[string, number, number[]]> = [
    ['1', 3, [1, 1, 1]],
    ['2', 5, [2, 2, 1]],
    ['1,5,20%', 30, [1, 5, 6, 6, 6, 6]],
    ['50%', 3, [1, 1, 1]],
    ['100%', 7, [7]],
    ['1%', 3, [1, 1, 1]],
    ['99999', 3, [3]],
    ['1', 0, []],
  ];
  for (const [spec, count, expected] of sizes)
    t.strictSame(batchSizes(spec.split(','), count), expected, `${spec} of ${count}`);
  t.strictSame(inBatches(['a', 'b', 'c'], ['2']), [['a', 'b'], ['c']]);
});

t.test(
  'once steps run on the named host, before the first is hidden and after the last is back',
  async (t) => {
    const both = [once('migrate', 'before'), once('seed', 'before'), once('clean', 'after')];
    t.strictSame(written({ once: both, onceOn: 'b' }), {
      stage: stagedOn(ABC),
      'once, before': ['b: once once'],
      'batch 1 of 3': [`a: ${CYCLE}`],
      'batch 2 of 3': [`b: ${CYCLE}`],
      'batch 3 of 3': [`c: ${CYCLE}`],
      'once, after': ['b: once'],
    });
    const { phases } = plan(asked({ once: both, onceOn: 'b' }));
    t.match(phases[1]?.lanes[0]?.steps, [{ args: { name: 'migrate' } }, { args: { name: 'seed' } }]);
    t.notOk(
      'once, before' in written({ once: both, onceOn: 'elsewhere' }),
      'its host is not among the hosts',
    );
  },
);

t.test('a rollback neither migrates nor soaks, and is lenient to the release that it leaves', async (t) => {
  t.strictSame(written({ kind: 'rollback', hosts: [facts('a')], once: [once('migrate', 'before')] }), {
    stage: ['a: stage'],
    'batch 1 of 1': ['a: hide drain activate restart smoke unhide record'],
  });
  const restartOf = (kind: PlanInput['kind']) =>
    plan(asked({ kind, hosts: [facts('a')] }))
      .phases.flatMap(({ lanes }) => lanes.flatMap(({ steps }) => steps))
      .find(({ args }) => args.kind === 'restart')?.args;
  t.match(restartOf('rollback'), { lenientStop: true });
  t.match(restartOf('deploy'), { lenientStop: false });
});

t.test('what there is not is not planned', async (t) => {
  const lane = (input: Partial<PlanInput>) => written({ hosts: [facts('a')], ...input })['batch 1 of 1'];
  t.strictSame(lane({ hosts: [facts('a', { server: null })] }), ['a: activate restart smoke settle record']);
  t.strictSame(lane({ strategy: strategy({ settle: 0 }) }), [
    'a: hide drain activate restart smoke unhide record',
  ]);
});

t.test(
  'a host that runs it already is only verified, and shown where fleet had left it hidden',
  async (t) => {
    const hosts = [
      facts('a', { already: true }),
      facts('b', { already: true, hiddenByFleet: true }),
      facts('c'),
      facts('d', { already: true, hiddenByFleet: true, server: null }),
    ];
    t.strictSame(written({ hosts }), {
      stage: stagedOn(['a', 'b', 'c', 'd']),
      'batch 1 of 4': ['a: smoke record'],
      'batch 2 of 4': ['b: smoke unhide record'],
      'batch 3 of 4': [`c: ${CYCLE}`],
      'batch 4 of 4': ['d: smoke record'],
    });
  },
);

t.test('nothing to do', async (t) => {
  const already = ABC.map((host) => facts(host, { already: true }));
  t.match(plan(asked({ hosts: already })), { noop: true, phases: [] });
  const oneHidden = already.map((host) => ({ ...host, hiddenByFleet: host.host === 'b' }));
  t.equal(plan(asked({ hosts: oneHidden })).noop, false, 'a host that fleet left hidden is something to do');
  const oneIll = already.map((host) => ({ ...host, well: host.host !== 'b' }));
  t.equal(plan(asked({ hosts: oneIll })).noop, false, 'so is one whose checks fail');
  t.notOk(
    'once, before' in written({ hosts: oneIll, once: [once('migrate', 'before')] }),
    'but nothing is migrated again',
  );
});

t.test('the digest stands for all that the plan would do', async (t) => {
  const digest = (more: Partial<PlanInput> = {}) => plan(asked(more)).digest;
  t.equal(digest(), digest(), 'the same twice');
  t.match(digest(), /^[0-9a-f]{64}$/);
  const otherPort = [facts('a', { values: { PORT: '8001' } }), facts('b'), facts('c')];
  const changes: Record<string, Partial<PlanInput>> = {
    'a value on one host': { hosts: otherPort },
    'the version': { version: '1.1.1' },
    'its content': { identity: identityOf('other') },
    'the batches': { strategy: strategy({ batch: ['2'] }) },
    'the drain time': { strategy: strategy({ drain: 1 }) },
    'a skipped check': { skipChecks: ['answers'] },
    'a once step': { once: [once('migrate', 'before')] },
    'a rollback': { kind: 'rollback' },
    'the order of hosts': { hosts: asked().hosts.toReversed() },
    'a host less': { hosts: asked().hosts.slice(1) },
  };
  const digests = Object.entries(changes).map(([what, more]) => {
    t.not(digest(more), digest(), what);
    return digest(more);
  });
  t.equal(new Set(digests).size, digests.length, 'each change is another one');
  const ordered = (values: Record<string, string>) => digest({ hosts: [facts('a', { values })] });
  t.equal(ordered({ PORT: '1', NAME: 'x' }), ordered({ NAME: 'x', PORT: '1' }), 'order is no change');
});

t.test('every step carries what doing it needs, and survives being stored', async (t) => {
  const { phases } = plan(asked({ once: [once('migrate', 'before')], skipChecks: ['answers'] }));
  for (const { args } of phases.flatMap(({ lanes }) => lanes.flatMap(({ steps }) => steps))) {
    t.strictSame(stepArgs.parse(JSON.parse(JSON.stringify(args))), args);
    t.ok(says(args), args.kind);
  }
});

t.test('which hosts', async (t) => {
  const config = controllerConfig.parse({
    services: { segmenter: { source: { directory: '.' } } },
    environments: {
      production: { services: { segmenter: { hosts: { environment: 'production' } } } },
      empty: { services: { segmenter: { hosts: { environment: 'nowhere' } } } },
    },
  });
  const host = (name: string, role: string, environment = 'production'): LabelledHost => ({
    host: name,
    labels: { role, environment },
  });
  const known = [
    host('web-10', 'web'),
    host('web-2', 'web'),
    host('worker-1', 'worker'),
    host('web-1', 'web', 'staging'),
  ];
  const select = (asked: Asked, environment = 'production') =>
    selectHosts(placementOf(config, 'segmenter', environment), known, asked).map((each) => each.host);

  t.strictSame(select({}), ['web-2', 'web-10', 'worker-1'], 'by label, counted as people count');
  t.strictSame(select({ hosts: ['web-*'] }), ['web-2', 'web-10']);
  t.strictSame(select({ hosts: ['worker-1', 'web-2'] }), ['web-2', 'worker-1'], 'in the order of deploying');
  t.strictSame(select({ roles: ['worker'] }), ['worker-1']);
  t.strictSame(select({ hosts: ['w*'], roles: ['web', 'worker'] }), ['web-2', 'web-10', 'worker-1']);
  t.throws(() => select({ hosts: ['web-2', 'web-1'] }), { code: 'unknown_host', message: /named web-1/ });
  t.throws(() => select({ roles: ['db'] }), { code: 'no_hosts', message: /role db/ });
  t.throws(() => select({ hosts: ['web-*'], roles: ['worker'] }), { code: 'no_hosts' });
  t.throws(() => select({}, 'empty'), { code: 'no_hosts', message: /environment=nowhere/ });
});

t.test('the gate of min_visible', async (t) => {
  const gate = (more: Partial<GateInput>) =>
    refusals({
      service: 'segmenter',
      environment: 'production',
      strategy: strategy({ min_visible: 1 }),
      hasBalancer: true,
      hosts: 3,
      hiddenTogether: 1,
      ...more,
    });
  t.strictSame(await gate({}), []);
  t.strictSame(await gate({ hosts: 1, hasBalancer: false }), [], 'without a balancer nobody is hidden');
  t.strictSame(await gate({ hosts: 1, hiddenTogether: 0 }), [], 'nothing is hidden');
  t.match(
    await gate({ hosts: 1 }),
    [{ code: 'min_visible', message: /one host .*leaves 0 visible/, next: /strategy: \{ min_visible: 0 \}/ }],
    'a one-host environment is told the line to write',
  );
  t.strictSame(await gate({ hosts: 1, strategy: strategy({ min_visible: 0 }) }), []);
  t.match(await gate({ hiddenTogether: 3 }), [{ code: 'min_visible', next: /--serial/ }]);
  t.match(await gate({ hiddenTogether: 2, strategy: strategy({ min_visible: 2 }) }), [
    { next: /min_visible: 1 / },
  ]);
  t.strictSame(await gate({ hiddenTogether: 2, strategy: strategy({ min_visible: 1 }) }), []);
});
