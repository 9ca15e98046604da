import t from 'tap';
import { formatBytes } from './bytes.ts';
import { openChannel } from './channel.ts';
import { formatDuration, formatMoment } from './duration.ts';
import { encodeJson, indent, neutralise, oneLine } from './escape.ts';
import { recapLines } from './recap.ts';
import { createNarrator } from './steps.ts';
import { layOut } from './table.ts';

const plain = openChannel(process.stdout, { NO_COLOR: '1' }).colors;

t.test('the recap has the form that the design gives, to the space', (t) => {
  const counts = { ok: 6, changed: 2, unreachable: 0, failed: 0, skipped: 0, rescued: 0, ignored: 0 };
  const lines = recapLines(
    {
      deployment: 42,
      service: 'segmenter',
      version: '1.4.2',
      environment: 'production',
      state: 'succeeded',
      durationMs: 72_000,
      failure: null,
      interruptions: [],
      passedBy: [],
      before: ['1.0.0'],
      exit: 0,
      hosts: [
        { host: 'cubed-segmenter-a', ...counts, running: '1.4.2', notes: [] },
        { host: 'a-host-with-a-name-that-is-long', ...counts, ok: 12_345, running: null, notes: [] },
      ],
    },
    plain,
  );
  t.strictSame(lines, [
    'RECAP segmenter 1.4.2 production, deployment 42, 1m12s',
    'cubed-segmenter-a               : ok=6    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    running=1.4.2',
    'a-host-with-a-name-that-is-long : ok=12345 changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    running=-',
  ]);
  const [, short] = recapLines(
    {
      deployment: 42,
      service: 'segmenter',
      version: null,
      environment: 'production',
      state: 'failed',
      durationMs: 300,
      failure: null,
      interruptions: [],
      passedBy: [],
      before: ['1.0.0'],
      exit: 1,
      hosts: [{ host: 'cubed-segmenter-a', ...counts, running: '1.4.2', notes: [] }],
    },
    plain,
  );
  t.equal(
    short,
    'cubed-segmenter-a          : ok=6    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    running=1.4.2',
  );
  t.end();
});

t.test('what a terminal obeys is taken out, what people read stays', (t) => {
  for (const [hostile, harmless] of [
    ['a\x1b]52;c;ZXZpbA==\x07b', 'ab'],
    ['a\x1b]0;title\x1b\\b', 'ab'],
    ['a\x9d52;c;x\x9cb', 'ab'],
    ['a\x1bPq#0\x1b\\b', 'ab'],
    ['\x1b[31mred\x1b[0m', 'red'],
    ['\x1b[2J\x1b[1;1H\x1b[?25lx', 'x'],
    ['\x9b31mred', 'red'],
    ['\x1bcreset', 'reset'],
    ['\x1b(0line', 'line'],
    ['failed=1\rfailed=0', 'failed=1\nfailed=0'],
    ['one\r\ntwo\n', 'one\ntwo\n'],
    ['bell\x07 back\b\x7f nul\0', 'bell back nul'],
    ['\x1b\x1b[31m[31mx', '31mx'],
    ['\x1b]52;c;never ended', '52;c;never ended'],
    ['\u202eevil\u2066', 'evil'],
    ['\ttab, é, 日本, 🚀', '\ttab, é, 日本, 🚀'],
  ] as const)
    t.equal(neutralise(hostile), harmless, JSON.stringify(hostile));
  t.equal(oneLine('one\r\n  two\rRECAP\n'), 'one two RECAP');
  t.strictSame(indent('one\r\ntwo\x1b[1A\n\n', '  | '), ['  | one', '  | two']);
  const value = { text: 'a\x1b[31m\x9b31m\u202e\n' };
  t.notMatch(encodeJson(value).replaceAll('\n', ''), /[\x00-\x1f\x7f-\x9f\u202e]/);
  t.strictSame(JSON.parse(encodeJson(value)), value);
  t.end();
});

t.test('durations, moments, bytes, tables', (t) => {
  for (const [ms, text] of [
    [0, '0.0s'],
    [340, '0.3s'],
    [9949, '9.9s'],
    [9950, '10s'],
    [59_499, '59s'],
    [59_500, '1m00s'],
    [72_000, '1m12s'],
    [3_599_500, '1h00m'],
    [7_500_000, '2h05m'],
  ] as const)
    t.equal(formatDuration(ms), text);
  t.match(formatMoment('2026-11-21T09:30:00.000Z'), /^2026-11-2[012] \d\d:\d\d$/);
  t.equal(formatMoment('nonsense'), '-');
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [4_230_000, '4.2 MB'],
    [42_000_000, '42 MB'],
    [999_999, '1.0 MB'],
  ] as const)
    t.equal(formatBytes(bytes), text);
  t.strictSame(
    layOut([
      ['a', 'bb', ''],
      ['aaa', 'b', 'c'],
    ]),
    ['a    bb', 'aaa  b   c'],
  );
  t.end();
});

t.test('what waits for a person is said at once, and again where nobody sees it stand there', (t) => {
  const hook = {
    step: 7,
    host: 'a',
    kind: 'restart',
    rescue: false,
    hook: 'after_start',
    version: '1.1.0',
  } as const;
  for (const live of [false, true]) {
    const written: string[] = [];
    const stream = { isTTY: live, columns: 200, write: (text: string) => written.push(text) };
    const narrator = createNarrator(openChannel(stream, {}), 42);
    const said = () => written.splice(0).join('');
    narrator.remind();
    t.equal(said(), '');
    narrator.tell({ type: 'step.waiting', ...hook });
    const lines = neutralise(said()).split('\n');
    t.match(
      lines[0],
      /WAITING: after_start of 1\.1\.0 was interrupted in the middle, and may not run twice$/,
    );
    t.match(lines[2], /^ {6}fleet retry 42 +runs after_start again$/);
    t.equal(lines.at(-1)?.includes('waiting for a person, after_start on a: fleet retry 42'), live);
    narrator.remind();
    t.equal(said().startsWith('still waiting for a person, after_start on a: fleet retry 42,'), !live);
    narrator.tell({ type: 'step.decided', ...hook, take: 'done', by: 'ann', why: 'it is\x1b[2J done' });
    t.match(said(), /after_start: ann skips it: it is done\n/);
    narrator.remind();
    t.equal(said(), '');
  }
  t.end();
});

t.test('no cursor is moved where nobody looks, or where it is not wanted', (t) => {
  for (const [isTTY, environment, live] of [
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { CI: 'true' }, false],
    [true, { TERM: 'dumb' }, false],
  ] as const) {
    let written = '';
    const stream = { isTTY, columns: 20, write: (text: string) => (written += text) };
    const channel = openChannel(stream, environment);
    channel.update('a line that changes, and is longer than the terminal');
    channel.print('done');
    t.equal(channel.live, live);
    t.equal(written, live ? '\r\x1b[Ka line that changes\r\x1b[Kdone\n' : 'done\n');
    t.equal(channel.colors.red('x'), live ? '\x1b[31mx\x1b[39m' : 'x');
  }
  t.end();
});
