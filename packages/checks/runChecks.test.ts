import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { CONTEXT, checkOf } from './contract.ts';
import { runChecks } from './runChecks.ts';
import { answer, listen, listenHttp } from './servers.fixture.ts';

t.test('all run at the same time, and the results are in order', async (t) => {
  // Each is answered once both have asked.
  const waiting: Array<() => void> = [];
  const together = await listen(t, (socket) => {
    waiting.push(() => socket.end(answer(200)));
    if (waiting.length === 2) for (const go of waiting) go();
  });
  const results = await runChecks(
    [
      checkOf({ name: 'slow', kind: 'http', port: together, timeout: '20s' }),
      checkOf({ name: 'bad', kind: 'command', command: ['false'] }),
      checkOf({ name: 'slow-too', kind: 'http', port: together, timeout: '20s' }),
    ],
    CONTEXT,
    { onceOnly: true },
  );
  t.match(results, [
    { name: 'slow', passed: true },
    { name: 'bad', passed: false },
    { name: 'slow-too', passed: true },
  ]);
  t.strictSame(await runChecks([], CONTEXT, { onceOnly: false }), []);
});

t.test('one that passes is not tried again while others wait', async (t) => {
  let asked = 0;
  const counted = await listen(t, (socket) => {
    asked++;
    socket.once('data', () => socket.end(answer(200)));
  });
  const late = await listenHttp(t, ...Array(5).fill(answer(500)), answer(200));
  const results = await runChecks(
    [checkOf({ kind: 'http', port: counted }), checkOf({ kind: 'http', port: late })],
    CONTEXT,
    { onceOnly: false },
  );
  t.match(results, [
    { passed: true, tries: 1 },
    { passed: true, tries: 6 },
  ]);
  t.equal(asked, 1);
});

t.test('an abort during the pause ends it, and the last answer is told', async (t) => {
  let asked = 0;
  const port = await listen(t, (socket) => {
    asked++;
    socket.once('data', () => socket.end(answer(500)));
  });
  const abort = new AbortController();
  const check = checkOf({ kind: 'http', port, interval: '1h', within: '2h' });
  const running = runChecks([check], { ...CONTEXT, signal: abort.signal }, { onceOnly: false });
  while (asked === 0) await setImmediate();
  setTimeout(() => abort.abort(), 100);
  t.match(await running, [{ passed: false, tries: 1, detail: /^cancelled; before that: .* answered 500/ }]);
});

t.test('a last try that is cut short does not hide what was answered before', async (t) => {
  const port = await listen(t, (socket, nth) => {
    if (nth === 1) socket.once('data', () => socket.end(answer(500)));
  });
  const check = checkOf({ kind: 'http', port, timeout: '1h', within: '300ms' });
  const results = await runChecks([check], CONTEXT, { onceOnly: false });
  t.match(results, [{ passed: false, tries: 1, detail: /answered 500/ }]);
});

t.test('durations longer than a timer can be', async (t) => {
  const port = await listenHttp(t, answer(500), answer(200));
  const check = checkOf({ kind: 'http', port, timeout: '999999h', within: '999999h' });
  t.match(await runChecks([check], CONTEXT, { onceOnly: false }), [{ passed: true, tries: 2 }]);
});

t.test('a detail is one short line, whatever a service says', async (t) => {
  const said = `\u001b[31mred\u001b[0m\u0007\u202e \t two\u2028three ${'🚀'.repeat(500)}`;
  const check = checkOf({ kind: 'command', command: ['printf', '%s', said] });
  const [result] = await runChecks([check], CONTEXT, { onceOnly: true });
  t.ok(result!.passed);
  t.notMatch(result!.detail, /[\p{Cc}\p{Cf}\u2028]/u);
  t.notMatch(result!.detail, /\[31m/);
  t.ok([...result!.detail].length <= 300);
  t.equal(result!.detail.at(-1), '…');
});
