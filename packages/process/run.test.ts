import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eventually } from './ending.ts';
import { cleanEnvironment } from './environment.ts';
import { identify, lives, type ProcessIdentity } from './proc.ts';
import { describe, ok, type Program, run } from './run.ts';

const program = (argv: string[], more: Partial<Program> = {}): Program => ({
  argv,
  cwd: '/',
  env: cleanEnvironment(),
  timeoutMs: 30_000,
  ...more,
});
const shell = (script: string, more: Partial<Program> = {}) => run(program(['sh', '-c', script], more));

/** A process whose number a script has written to a file. */
async function fromFile(path: string): Promise<ProcessIdentity> {
  await eventually(() => existsSync(path) && readFileSync(path, 'utf8').endsWith('\n'), 10_000);
  const identity = identify(Number(readFileSync(path, 'utf8')));
  if (identity === undefined) throw new Error(`the process of ${path} has ended already`);
  return identity;
}

t.test('a program that ends by itself', async (t) => {
  const good = await shell('echo one; echo two >&2; echo three');
  t.match(good, {
    reason: 'exited',
    code: 0,
    signal: null,
    output: { text: 'one\ntwo\nthree\n', dropped: 0 },
  });
  t.ok(ok(good));

  const bad = await shell('echo oops > /dev/stderr; exit 7');
  t.match(bad, { reason: 'exited', code: 7, output: { text: 'oops\n' } }, 'stderr can be opened by its name');
  t.notOk(ok(bad));
  t.match(describe(bad, ['npm', 'ci']), /^npm ci ended with exit status 7 after \d+\.\ds$/);

  const killed = await shell('kill -9 $$');
  t.match(killed, { reason: 'signaled', code: null, signal: 'SIGKILL' });
  t.match(describe(killed, ['x']), 'x was ended by SIGKILL after');

  const reads = await run(program(['cat']));
  t.match(reads, { reason: 'exited', code: 0, output: { text: '' } }, 'stdin is empty, not a terminal');
});

t.test('a program that cannot be started says why', async (t) => {
  const dir = t.testdir({ plain: 'not a program' });
  const cases: Array<[Program, RegExp]> = [
    [program(['no-such-program']), /no program no-such-program \(ENOENT\)/],
    [program([join(dir, 'plain')]), /plain may not be executed \(EACCES\)/],
    [program(['true'], { cwd: join(dir, 'gone') }), /directory .*gone does not exist/],
    [program(['nul\0byte']), /null bytes/],
    [program([]), /./],
  ];
  for (const [what, why] of cases) {
    const ended = await run(what);
    t.match(ended, { reason: 'not_started', code: null, output: { text: why } });
    t.match(describe(ended, what.argv), 'could not be started: ');
  }
});

t.test('the environment is the one that was given', async (t) => {
  process.env.FLEET_TEST_SECRET = 'canary';
  t.teardown(() => delete process.env.FLEET_TEST_SECRET);
  const { output } = await run(program(['env', '-0'], { env: cleanEnvironment({ PORT: '80' }) }));
  const names = output.text.split('\0').map((entry) => entry.split('=')[0]!);
  // tap puts these into whatever a test spawns.
  const given = names.filter((name) => name !== '' && !/^_TAPJS_|^NODE_OPTIONS$/.test(name));
  t.strictSame(new Set(given), new Set([...Object.keys(cleanEnvironment()), 'PORT', 'FLEET_RUN']));
  t.notMatch(output.text, 'canary');
  const found = await shell('command -v node');
  t.equal(found.output.text.trim(), process.execPath, 'this Node is found first');
});

t.test('a deadline ends the whole group, by force where it must', async (t) => {
  const dir = t.testdir();
  const child = join(dir, 'child');
  const stubborn = shell(
    `trap '' TERM; echo begun; sh -c 'trap "" TERM; echo $$ > ${child}; sleep 600'; sleep 600`,
    {
      timeoutMs: 1_000,
      graceMs: 100,
    },
  );
  const inner = await fromFile(child);
  t.match(await stubborn, { reason: 'timeout', code: null, signal: 'SIGKILL', output: { text: 'begun\n' } });
  t.notOk(lives(inner));

  const polite = await shell('trap "echo bye; exit 3" TERM; while :; do sleep 0.01; done', {
    timeoutMs: 300,
  });
  t.match(
    polite,
    { reason: 'timeout', code: 3, output: { text: 'bye\n' } },
    'SIGTERM is heard, the reason stays',
  );
  t.match(describe(polite, ['x']), 'x did not end in time');
});

t.test('the group has its grace also when the main process goes at once', async (t) => {
  const done = join(t.testdir(), 'done');
  const cleaner = `trap 'sleep 0.3; echo yes > ${done}; exit' TERM; echo ready; while :; do sleep 0.01; done`;
  const stop = new AbortController();
  const ended = shell(`sh -c "$CLEANER" & wait`, {
    env: cleanEnvironment({ CLEANER: cleaner }),
    timeoutMs: 1_000,
    signal: stop.signal,
  });
  t.match(await ended, { reason: 'timeout', output: { text: 'ready' } });
  t.ok(existsSync(done), 'what was cleaning up was let to');
});

t.test('cancelling', async (t) => {
  const stop = new AbortController();
  const file = join(t.testdir(), 'pid');
  const ended = shell(`echo $$ > ${file}; exec sleep 600`, { signal: stop.signal });
  const main = await fromFile(file);
  stop.abort();
  t.match(await ended, { reason: 'cancelled', signal: 'SIGTERM' });
  t.notOk(lives(main));
  t.match(
    await shell('true', { signal: stop.signal }),
    { reason: 'cancelled', code: null },
    'not even started',
  );
});

t.test('what a program leaves behind is ended', async (t) => {
  const dir = t.testdir();
  const [daemon, background] = [join(dir, 'daemon'), join(dir, 'background')];
  const leave = `
    setsid sh -c 'trap "" TERM HUP; echo $$ > ${daemon}; exec sleep 600' &
    sh -c 'echo $$ > ${background}; exec sleep 600' &
    while ! [ -s ${daemon} ] || ! [ -s ${background} ]; do sleep 0.01; done
    echo left`;
  // With their output pipe held open, waiting for it to close would last ten minutes.
  const ended = await shell(leave);
  t.match(ended, { reason: 'exited', code: 0, output: { text: 'left\n' } });
  for (const file of [daemon, background])
    t.equal(identify(Number(readFileSync(file, 'utf8'))), undefined, `${file} is gone`);

  const start = `setsid sh -c 'echo $$ > ${dir}/kept; exec sleep 600' & head -c 60000 /dev/zero`;
  const kept = await shell(start, { leavesDaemons: true });
  t.match(kept, { reason: 'exited', code: 0 }, 'its open pipe is not waited for');
  t.equal(kept.output.dropped + kept.output.text.length, 60_000, 'but read to its end');
  const identity = await fromFile(`${dir}/kept`);
  t.ok(lives(identity), 'a start command may leave its daemon');
  process.kill(identity.pid, 'SIGKILL');
});

t.test('a flood of output', async (t) => {
  const flood = 200 * 1024 * 1024;
  const log = join(t.testdir(), 'log');
  const before = process.memoryUsage().rss;
  let peak = 0;
  const watching = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 20);
  const ended = await shell(`yes 0123456789abcdef | head -c ${flood}; echo; echo the end`, { log });
  clearInterval(watching);
  t.match(ended, { reason: 'exited', code: 0 });
  const { text, dropped } = ended.output;
  t.match(text, /^0123456789abcdef\n(0123456789abcdef\n)+\w*\nthe end\n$/, 'begins with a whole line');
  t.ok(text.length <= 16 * 1024);
  const size = flood + '\nthe end\n'.length;
  t.equal(dropped + text.length, size, 'every byte is accounted for');
  t.equal(statSync(log).size, size, 'all of it is in the log');
  t.ok(peak - before < 64 * 1024 * 1024, `grew by ${Math.round((peak - before) / 1024 / 1024)} MiB`);
});

t.test('awkward output', async (t) => {
  const invalid = await shell(String.raw`printf 'a\377b\n'`);
  t.equal(invalid.output.text, 'a�b\n');
  const oneLine = await shell(`head -c 100000 /dev/zero | tr '\\0' x`, { tailBytes: 1000 });
  t.strictSame(oneLine.output, { text: 'x'.repeat(1000), dropped: 99_000 });
  const wide = await shell(`for i in 1 2 3 4 5 6 7 8 9; do printf 'é'; done`, { tailBytes: 5 });
  t.strictSame(wide.output, { text: 'éé', dropped: 14 }, 'no half characters');
  const log = await shell('echo fine', { log: '/nowhere/log' });
  t.match(log, { reason: 'exited', code: 0, output: { text: /^fine\n\n\[fleet\] .*ENOENT/ } });
});
