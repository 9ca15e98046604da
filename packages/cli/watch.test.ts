/** Deploying, rolling back and attaching, as a person sees it: the real program against a fake controller on a real socket. */
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { type FakeController, startFakeController } from './fakeController.ts';
import { runFleet, startFleet } from './fleetProgram.ts';
import { ended, recapHost, recapOf, started, stepEnded, TOPIC } from './sampleDeployment.ts';

async function fakeFor(t: Test): Promise<FakeController> {
  const fake = await startFakeController();
  t.teardown(() => fake.stop());
  fake.answer('deployments.start', () => ({ id: 42 }));
  fake.answer('deployments.rollback', () => ({ id: 42 }));
  return fake;
}
const at = (fake: FakeController) => ({ environment: { FLEET_CONTROLLER: fake.url } });

t.test('a deployment that succeeds: a line a step, the way back, the recap last', async (t) => {
  const fake = await fakeFor(t);
  let asked: unknown;
  fake.answer('deployments.start', ({ body, headers }) => {
    asked = body;
    t.match(headers['x-fleet-by'], /^[^@]+@.+$/);
    return { id: 42 };
  });
  fake.publish(TOPIC, { type: 'build.started', service: 'segmenter', ref: 'main' });
  fake.publish(TOPIC, {
    type: 'build.ended',
    version: '1.1.0',
    built: true,
    notes: ['Count visitors'],
    ms: 1200,
    error: null,
  });
  fake.publish(TOPIC, started);
  fake.publish(TOPIC, stepEnded(1, 'stage', 'a', { ms: 300, message: '1.1.0 staged, 4.2 MB in 0.3s' }));
  fake.publish(TOPIC, stepEnded(2, 'hide', 'web-b', { ms: 200, message: 'hidden, 2 others visible' }));
  fake.publish(TOPIC, { type: 'note', host: null, text: 'waiting' });
  fake.publish(TOPIC, ended());
  const flags = ['-e', 'production', '--host', 'a,web-*', '--host', 'c', '--role', 'web', '--soak', '2m'];
  const { status, stdout, stderr } = await runFleet(
    ['deploy', 'segmenter', '--serial', ...flags, '--skip-check', 'answers', '-m', 'it is gone'],
    at(fake),
  );
  t.equal(stderr, '');
  t.equal(
    stdout,
    `building segmenter from main
built 1.1.0 in 1.2s
  + Count visitors
deploying segmenter 1.1.0 to production: a, web-b  (deployment 42)
stage     a      1.1.0 staged, 4.2 MB in 0.3s
hide      web-b  hidden, 2 others visible  (0.2s)
note      waiting

back: fleet rollback segmenter -e production
RECAP segmenter 1.1.0 production, deployment 42, 1m12s
a                          : ok=6    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    running=1.1.0
web-b                      : ok=6    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    running=1.1.0
`,
  );
  t.equal(status, 0);
  t.strictSame(asked, {
    service: 'segmenter',
    environment: 'production',
    hosts: ['a', 'web-*', 'c'],
    roles: ['web'],
    skipChecks: ['answers'],
    why: 'it is gone',
    batch: ['1'],
    soak: 120_000,
  });
});

t.test('a failure is told in full once, then what to do, then the recap', async (t) => {
  const fake = await fakeFor(t);
  const output = 'listening\nError: no database\n';
  fake.publish(TOPIC, started);
  fake.publish(
    TOPIC,
    stepEnded(5, 'smoke', 'a', {
      outcome: 'failed',
      ms: 30_000,
      message: 'answers: 503',
      output,
      next: 'fleet logs segmenter --host a',
    }),
  );
  fake.publish(TOPIC, stepEnded(6, 'activate', 'a', { rescue: true, message: '1.0.0 is current' }));
  fake.publish(
    TOPIC,
    ended({
      state: 'restored',
      exit: 5,
      failure: {
        host: 'a',
        step: 'smoke',
        code: 'check_failed',
        message: 'answers: 503',
        output,
        next: 'look at the log',
      },
      hosts: [
        recapHost('a', { ok: 5, failed: 1, rescued: 1, running: '1.0.0', notes: ['went back to 1.0.0'] }),
        recapHost('web-b', { skipped: 6 }),
      ],
    }),
  );
  const { status, stdout } = await runFleet(['deploy', 'segmenter'], at(fake));
  t.equal(
    stdout,
    `deploying segmenter 1.1.0 to production: a, web-b  (deployment 42)
smoke     a      FAILED: answers: 503  (30s)
    | listening
    | Error: no database
    next: fleet logs segmenter --host a
activate  a      1.0.0 is current  (going back)

restored: smoke on a: answers: 503
a: went back to 1.0.0
next: look at the log
RECAP segmenter 1.1.0 production, deployment 42, 1m12s
a                          : ok=5    changed=0    unreachable=0    failed=1    skipped=0    rescued=1    ignored=0    running=1.0.0
web-b                      : ok=0    changed=0    unreachable=0    failed=0    skipped=6    rescued=0    ignored=0    running=-
`,
  );
  t.equal(status, 5);
});

t.test('the exit status is the recap’s', async (t) => {
  for (const exit of [0, 1, 3, 5]) {
    const fake = await fakeFor(t);
    fake.publish(TOPIC, ended({ exit, state: exit === 0 ? 'succeeded' : 'failed' }));
    t.equal((await runFleet(['attach', '42'], at(fake))).status, exit);
  }
});

t.test('the controller’s refusals', async (t) => {
  const fake = await fakeFor(t);
  for (const [code, status] of [
    ['unknown_service', 2],
    ['locked', 3],
    ['internal', 1],
  ] as const) {
    fake.answer('deployments.start', () => {
      throw new FleetError(code, `it is ${code}`, { next: 'do this', data: { output: 'last words\n' } });
    });
    const ended = await runFleet(['deploy', 'segmenter'], at(fake));
    t.match(ended, { status, stdout: '', stderr: `error: it is ${code}\n    | last words\nnext: do this\n` });
  }
});

t.test('no controller: exit status 4, and what to do', async (t) => {
  const { status, stderr } = await runFleet(['deploy', 'segmenter', '--controller', 'http://127.0.0.1:1']);
  t.equal(status, 4);
  t.match(
    stderr,
    /^error: no controller answers at http:\/\/127\.0\.0\.1:1: .*\nnext: .*fleet controller --config controller\.yaml/,
  );
});

t.test('a stream that breaks, and a controller that restarts: no line lost, none twice', async (t) => {
  const fake = await fakeFor(t);
  const fleet = startFleet(['deploy', 'segmenter'], at(fake));
  fake.publish(TOPIC, started);
  fake.publish(TOPIC, stepEnded(1, 'hide', 'a', { message: 'line 1' }));
  await fleet.says('line 1');
  fake.cut();
  fake.publish(TOPIC, stepEnded(2, 'drain', 'a', { message: 'line 2' }));
  await fleet.says('line 2');
  t.equal(await fake.opened(2), '2', 'goes on after the last event that it saw');
  await fake.stop();
  fake.publish(TOPIC, stepEnded(3, 'activate', 'a', { message: 'line 3' }));
  await fleet.says('trying again');
  await fake.start();
  await fleet.says('line 3');
  fake.publish(TOPIC, ended());
  const { status, stdout } = await fleet.ended;
  t.strictSame(stdout.match(/line \d/g), ['line 1', 'line 2', 'line 3']);
  t.equal(stdout.match(/controller not answering, trying again/g)?.length, 1);
  t.equal(stdout.match(/^deploying/gm)?.length, 1);
  t.equal(status, 0);
});

t.test('signals stop the watching only: 130, and how to go on', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const fake = await fakeFor(t);
    fake.answer('deployments.abort', () => t.fail('nobody asked for it to be aborted') as never);
    fake.publish(TOPIC, started);
    const fleet = startFleet(['deploy', 'segmenter'], at(fake));
    await fleet.says('deployment 42');
    fleet.child.kill(signal);
    const { status, stdout, stderr } = await fleet.ended;
    t.equal(status, 130, signal);
    t.match(stderr, /deployment 42 goes on\n {2}fleet attach 42 .*\n {2}fleet abort 42 /);
    t.notMatch(stdout, 'RECAP');
  }
});

t.test('Ctrl-C before the controller has answered: it is not known whether it started', async (t) => {
  const fake = await fakeFor(t);
  const asked = Promise.withResolvers<void>();
  fake.answer('deployments.start', () => {
    asked.resolve();
    return new Promise<never>(() => {});
  });
  const fleet = startFleet(['deploy', 'segmenter'], at(fake));
  await asked.promise;
  fleet.child.kill('SIGINT');
  t.match(await fleet.ended, { status: 130, stderr: /not known: fleet history segmenter/ });
});

t.test('a closed stdout stops the watching only', async (t) => {
  const fake = await fakeFor(t);
  fake.publish(TOPIC, started);
  const fleet = startFleet(['deploy', 'segmenter'], at(fake));
  await fleet.says('deployment 42');
  fleet.child.stdout.destroy();
  fake.publish(TOPIC, stepEnded(1, 'hide', 'a', { message: 'nobody reads this' }));
  t.match(await fleet.ended, { status: 130, stderr: /fleet attach 42/ });
});

t.test('a terminal: the last line changes, and is gone in the end', async (t) => {
  const fake = await fakeFor(t);
  const terminal = [
    'script',
    '-qec',
    `${process.execPath} ${new URL('./bin/fleet.js', import.meta.url).pathname} attach 42`,
    '/dev/null',
  ];
  const step = { step: 1, kind: 'stage', host: 'a', rescue: false } as const;
  fake.publish(TOPIC, started);
  fake.publish(TOPIC, { type: 'step.started', ...step, says: 'sending' });
  const fleet = startFleet([], { ...at(fake), through: terminal });
  await fleet.says('sending');
  fake.publish(
    TOPIC,
    { type: 'step.progress', ...step, done: 1_000_000, of: 4_000_000, unit: 'bytes' },
    false,
  );
  await fleet.says('\r\x1b[Kstage a  1.0 MB of 4.0 MB, 25%');
  for (const [unit, done, told] of [
    ['ms', 1000.0207, '1.0s of 4.0s, 25%'],
    ['sessions open', 1000, '1000 of 4000 sessions open'],
  ] as const) {
    fake.publish(TOPIC, { type: 'step.progress', ...step, done, of: 4000, unit }, false);
    await fleet.says(`\r\x1b[Kstage a  ${told}`);
  }
  fake.publish(TOPIC, stepEnded(1, 'stage', 'a', { message: 'staged' }));
  fake.publish(TOPIC, ended());
  const { status, stdout } = await fleet.ended;
  t.equal(status, 0);
  t.match(stdout, 'open\r\x1b[Kstage     a      staged\r\n');
  t.match(stdout, /\x1b\[32mok=6/, 'in colour');
});

t.test('what hosts and commits say does not reach the terminal as commands', async (t) => {
  const fake = await fakeFor(t);
  fake.publish(TOPIC, { ...started, service: 'x\x1b]0;title\x07' });
  fake.publish(TOPIC, { type: 'note', host: 'a', text: 'one\rRECAP forged\nRECAP forged\x1b[1A\x1b[2K' });
  fake.publish(
    TOPIC,
    stepEnded(1, 'smoke', 'a', {
      outcome: 'failed',
      message: '\x1b]52;c;ZXZpbA==\x07hi',
      output: '\x9b31mred\rover\u202e\n',
    }),
  );
  fake.publish(TOPIC, ended({ hosts: [recapHost('a', { notes: ['\x1bPq\x1b\\note'] })] }));
  const { stdout } = await runFleet(['attach', '42'], at(fake));
  t.notMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  t.equal(stdout.match(/^RECAP/gm)?.length, 1);
  t.match(stdout, 'smoke     a      FAILED: hi\n    | red\n    | over\n');
});

t.test('--json: the recap alone on stdout, progress on stderr', async (t) => {
  const fake = await fakeFor(t);
  fake.publish(TOPIC, started);
  fake.publish(TOPIC, ended({ exit: 1, state: 'failed' }));
  const { status, stdout, stderr } = await runFleet(['deploy', 'segmenter', '--json'], at(fake));
  t.strictSame(JSON.parse(stdout), recapOf({ exit: 1, state: 'failed' }));
  t.match(stderr, /^deploying segmenter/);
  t.equal(status, 1);
});

t.test('--no-wait says accepted, and the line that watches it', async (t) => {
  const fake = await fakeFor(t);
  t.match(await runFleet(['deploy', 'segmenter', '--no-wait'], at(fake)), {
    status: 0,
    stdout: /^deployment 42 is accepted\n {2}fleet attach 42/,
  });
  const { stdout } = await runFleet(['rollback', 'segmenter', '--no-wait', '--json'], at(fake));
  t.strictSame(JSON.parse(stdout), { id: 42 });
});

t.test('a rollback asks on a terminal, and only there', async (t) => {
  const fake = await fakeFor(t);
  let asked: unknown;
  fake.answer('deployments.rollback', ({ body }) => {
    asked = body;
    return { id: 42 };
  });
  fake.publish(TOPIC, { ...started, kind: 'rollback' });
  fake.publish(TOPIC, ended());
  const argv = ['rollback', 'segmenter', '-e', 'production', '--host', 'a', '--to', '1.0.0'];
  const quiet = await runFleet(argv, at(fake));
  t.match(quiet.stdout, /^rolling back segmenter to 1\.1\.0 in production/);
  t.notMatch(quiet.stdout, 'back: fleet', 'no way back from a way back');
  t.strictSame(asked, {
    service: 'segmenter',
    environment: 'production',
    hosts: ['a'],
    to: '1.0.0',
    skipChecks: [],
  });

  asked = undefined;
  const command = `${process.execPath} ${new URL('./bin/fleet.js', import.meta.url).pathname} ${argv.join(' ')}`;
  const fleet = startFleet([], {
    ...at(fake),
    through: ['script', '-qec', command, '/dev/null'],
    typing: true,
  });
  await fleet.says('Roll segmenter in production back to 1.0.0, on hosts a? [y/N]');
  fleet.child.stdin.write('n\n');
  t.match(await fleet.ended, { status: 3, stdout: 'nothing was done' });
  t.equal(asked, undefined);
  const sure = await runFleet([], { ...at(fake), through: ['script', '-qec', `${command} -y`, '/dev/null'] });
  t.match(sure.stdout, 'RECAP');
});

t.test('attach without a number takes the one that runs', async (t) => {
  const fake = await fakeFor(t);
  const row = {
    kind: 'deploy',
    service: 'segmenter',
    environment: 'production',
    version: '1.1.0',
    by: 'alice@desk',
    why: null,
    startedAt: '2026-11-21T09:30:00Z',
    endedAt: null,
    hosts: 2,
    exit: null,
  } as const;
  fake.publish(TOPIC, ended());
  fake.answer('deployments.list', () => [
    { ...row, id: 42, state: 'running' },
    { ...row, id: 41, state: 'failed' },
  ]);
  t.match(await runFleet(['attach'], at(fake)), { status: 0, stdout: /^RECAP/m });
  fake.answer('deployments.list', () => []);
  t.match(await runFleet(['attach'], at(fake)), { status: 3, stderr: /no deployment is running/ });
  fake.answer('deployments.list', () => [
    { ...row, id: 42, state: 'running' },
    { ...row, id: 43, state: 'paused' },
  ]);
  t.match(await runFleet(['attach'], at(fake)), { status: 2, stderr: /fleet attach 43/ });
});
