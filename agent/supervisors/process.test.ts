import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, findMarked } from '@fleet/process/ending.ts';
import { identify, lives } from '@fleet/process/proc.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import t, { type Test } from 'tap';
import { checkSupervisor, instanceIn, processOf, reboot } from './contract.ts';
import { supervisorFor } from './kinds.ts';
import { readLog } from './log.ts';
import { revive } from './revive.ts';
import { running } from './running.ts';
import { processSpecOf } from './spec.ts';
import { readState } from './state.ts';

const PROGRAMS = {
  works: 'echo $$ > pid; sleep 600; true',
  stubborn: 'trap "" TERM; echo $$ > pid; sleep 600; true',
  fails: 'echo cannot work; exit 4',
};
const run = (script: string): RunOf<'process'> => ({
  supervisor: 'process',
  command: ['sh', '-c', script, '${VERSION}'],
  environment: {},
  stop: { signal: 'SIGTERM', grace: 300 },
  log_size: 1,
});
const supervisor = supervisorFor(run(''));

t.test('contract', async (t) => checkSupervisor(t, { supervisor, run: (program) => run(PROGRAMS[program]) }));

t.test('an agent that is killed leaves its services alone', async (t) => {
  const { make } = prepare(t);
  const one = make('1.0.0', PROGRAMS.works);
  const agent = spawn(
    process.execPath,
    [
      '--input-type=module-typescript',
      '--eval',
      `import { supervisorFor } from '${new URL('./kinds.ts', import.meta.url)}';
     const one = { ...${JSON.stringify(one)}, argvOf: (argv: string[]) => argv.map((e) => e.replace('\${VERSION}', '1.0.0')) };
     await supervisorFor(one.run).start(one);
     process.kill(-process.pid, 'SIGKILL');`,
    ],
    { detached: true },
  );
  agent.on('error', t.fail);
  const [, signal] = await once(agent, 'exit');
  t.equal(signal, 'SIGKILL');
  const first = await processOf(one);
  t.equal(await supervisor.status(one), 'running');
  await supervisor.start(one);
  t.notOk(await revive(one.home));
  t.same(await processOf(one), first, 'the next agent takes it over as it is');
  await supervisor.stop(make('1.0.0', PROGRAMS.works));
  t.notOk(lives(first));
  t.same(await findMarked(one.home), [], 'nothing is left');
});

t.test('a program that crashes is started again, ever later', async (t) => {
  const { make } = prepare(t);
  const one = make('1.0.0', 'echo begun >> starts; echo up; sleep 0.1; exit 3');
  await supervisor.start(one);
  const starts = () => readFileSync(join(one.release, 'starts'), 'utf8').split('\n').length - 1;
  t.ok(await eventually(() => starts() >= 3, 20_000));
  t.match(await supervisor.status(one), /^(failed|recovering)$/, 'up again or not: it has not recovered yet');
  t.match(await readState(one.home), { state: 'failed', last: { code: 3 } });
  const told =
    /^up\n\[fleet\] sample 1.0.0 ended with exit status 3, is started again in 100 ms\nup\n.*in 200 ms\nup\n/;
  // What a program prints reaches the log a moment after it was printed.
  const log = join(one.home, 'log');
  t.ok(await eventually(() => told.test(readFileSync(log, 'utf8')), 20_000), readFileSync(log, 'utf8'));
  await supervisor.stop(one);
  const before = starts();
  t.equal(await supervisor.status(one), 'stopped');
  t.equal(starts(), before);
});

t.test('what does not hear its stop signal is killed by its shim', async (t) => {
  const { make, home } = prepare(t);
  const one = make('1.0.0', PROGRAMS.stubborn);
  await supervisor.start(one);
  await processOf(one);
  await supervisor.stop(one);
  t.equal((await readState(home))?.state, 'stopped', 'the shim saw it through to its end');
});

t.test('what cannot be executed says so', async (t) => {
  const { make } = prepare(t);
  const cases: Array<[string[], RegExp]> = [
    [['./no-such-program'], /ENOENT/],
    [['/etc/passwd'], /EACCES/],
  ];
  for (const [command, why] of cases) {
    const one = { ...make('1.0.0', ''), run: { ...run(''), command } };
    await t.rejects(supervisor.start(one), { code: 'start_failed', message: why });
    t.equal(await supervisor.status(one), 'stopped');
  }
});

t.test('a program is looked for in its release', async (t) => {
  const { make } = prepare(t);
  const one = { ...make('1.0.0', ''), run: { ...run(''), command: ['./serve'] } };
  writeFileSync(join(one.release, 'serve'), `#!/bin/sh\n${PROGRAMS.works}\n`, { mode: 0o755 });
  await supervisor.start(one);
  const program = await processOf(one);
  t.equal(readlinkSync(`/proc/${program.pid}/cwd`), one.release);
  t.equal(readlinkSync(`/proc/${program.pid}/fd/0`), '/dev/null');
});

t.test('a process that left the group is ended with the rest', async (t) => {
  const { make } = prepare(t);
  const one = make('1.0.0', 'setsid sh -c \'trap "" TERM; echo $$ > pid; exec sleep 600\' & sleep 600; true');
  await supervisor.start(one);
  const away = await processOf(one);
  await supervisor.stop(one);
  t.notOk(lives(away));
});

t.test('the log keeps to its size, and is followed across a rotation', async (t) => {
  const { make } = prepare(t);
  const one = make(
    '1.0.0',
    'echo first; while ! [ -e go ]; do sleep 0.01; done; seq 1 400000; echo $$ > pid; sleep 600',
  );
  await supervisor.start(one);
  let { text, cursor } = await readLog(one.home, { lines: 10 });
  t.equal(text, 'first\n');
  writeFileSync(join(one.release, 'go'), '');
  await processOf(one);
  const seen = async () => (await readLog(one.home, { lines: 1 })).text === '400000\n';
  while (!(await seen())) await sleep(5);
  const sizes = ['log', 'log.1'].map((name) => statSync(join(one.home, name)).size);
  t.ok(sizes[0]! + sizes[1]! <= 1024 * 1024, `${sizes}`);
  t.ok(sizes[1]! > 256 * 1024, 'and uses it');

  let whole = '';
  for (;;) {
    ({ text, cursor } = await readLog(one.home, { lines: 1, after: cursor }));
    if (text === '') break;
    t.ok(text.length <= 256 * 1024);
    whole += text;
  }
  const lines = whole.trimEnd().split('\n').map(Number);
  t.equal(lines.at(-1), 400_000);
  t.ok(
    lines.slice(2).every((line, index) => line === lines[index + 1]! + 1),
    'from the oldest that is kept, every line once',
  );
});

t.test('a shim that was killed', async (t) => {
  const { make, home } = prepare(t);
  const one = make('1.0.0', PROGRAMS.works);
  await supervisor.start(one);
  const first = await processOf(one);
  await killShim(home);
  t.equal(await supervisor.status(one), 'unknown', 'nobody watches over its program');
  t.ok(await revive(home));
  t.notOk(lives(first), 'never two of them');
  const second = await processOf(one);
  t.equal(await supervisor.status(one), 'running');
  await killShim(home);
  await supervisor.stop(one);
  t.notOk(lives(second), 'and it can be stopped without one');
});

t.test('a number that was given to another process is not signalled', async (t) => {
  const { make, home } = prepare(t);
  const one = make('1.0.0', PROGRAMS.works);
  const foreign = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  foreign.on('error', t.fail);
  t.teardown(() => foreign.kill('SIGKILL'));
  await once(foreign, 'spawn');
  const other = identify(foreign.pid!)!;
  for (const stranger of [
    { ...other, start: other.start - 1 },
    { ...other, boot: 'an earlier one' },
  ]) {
    await supervisor.start(one);
    const first = await processOf(one);
    await reboot(home, first);
    const state = (await readState(home))!;
    writeFileSync(join(home, 'state.json'), JSON.stringify({ ...state, shim: stranger, program: stranger }));
    t.equal(await supervisor.status(one), 'stopped');
    t.equal(await running(home), undefined);
    await supervisor.stop(one);
    t.ok(lives(other));
    writeFileSync(join(home, 'spec.json'), JSON.stringify(processSpecOf(one)));
    writeFileSync(join(home, 'state.json'), JSON.stringify({ ...state, shim: stranger, program: stranger }));
    t.ok(await revive(home));
    t.ok(lives(other));
    await supervisor.stop(one);
  }
});

t.test('what was written down may be damaged or gone', async (t) => {
  const { make, home } = prepare(t);
  const one = make('1.0.0', PROGRAMS.works);
  await supervisor.start(one);
  const first = await processOf(one);
  writeFileSync(join(home, 'state.json'), '{"version":"1.0');
  t.equal(await supervisor.status(one), 'stopped');
  await supervisor.start(one);
  t.notOk(lives(first), 'what runs unknown is found and ended first');
  t.equal(await supervisor.status(one), 'running');
});

t.test('a program that is up again after a crash is told as such, and not as well', async (t) => {
  const { make } = prepare(t);
  const one = make('1.0.0', '[ -e once ] || { touch once; sleep 0.1; exit 3; }; exec sleep 600');
  await supervisor.start(one);
  const states: string[] = [];
  while (states.at(-1) !== 'recovering') {
    states.push(await supervisor.status(one));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.notOk(states.slice(states.indexOf('failed')).includes('running'));
  t.match(await readState(one.home), { state: 'failed', restarts: 1 });
});

t.test('what does not come up after a reboot is tried again', async (t) => {
  const { make, home } = prepare(t);
  const one = make('1.0.0', '[ -e ready ] || exit 1; echo $$ > pid; sleep 600');
  writeFileSync(join(one.release, 'ready'), '');
  await supervisor.start(one);
  await reboot(home, await processOf(one));
  rmSync(join(one.release, 'ready'));
  t.ok(await revive(home));
  t.equal(await supervisor.status(one), 'failed');
  writeFileSync(join(one.release, 'ready'), '');
  await processOf(one);
  t.equal(await running(home), '1.0.0');
});

function prepare(t: Test) {
  const dir = t.testdir();
  const home = join(dir, 'run');
  const make = (version: string, script: string) => instanceIn(dir, version, run(script));
  t.teardown(() => supervisor.stop(make('1.0.0', '')));
  return { home, make };
}

async function killShim(home: string): Promise<void> {
  const { shim } = (await readState(home))!;
  process.kill(shim.pid, 'SIGKILL');
  await eventually(() => !lives(shim), 20_000);
}
