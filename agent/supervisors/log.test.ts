import { appendFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readLog } from './log.ts';

function rotate(home: string): void {
  renameSync(join(home, 'log'), join(home, 'log.1'));
  writeFileSync(join(home, 'log'), '');
}

t.test('the last lines', async (t) => {
  const home = t.testdir({ log: 'one\ntwo\n\nfour\n' });
  const last = async (lines: number) => (await readLog(home, { lines })).text;
  t.equal(await last(1), 'four\n');
  t.equal(await last(2), '\nfour\n');
  t.equal(await last(4), 'one\ntwo\n\nfour\n');
  t.equal(await last(100), 'one\ntwo\n\nfour\n');
  appendFileSync(join(home, 'log'), 'half');
  t.equal(await last(1), 'half');
  rotate(home);
  appendFileSync(join(home, 'log'), ' done\nfive\n');
  t.equal(await last(2), 'half done\nfive\n', 'a line may lie in both files');
  t.equal(await last(3), 'four\nhalf done\nfive\n');
  t.strictSame(await readLog(t.testdir(), { lines: 10 }), { text: '', cursor: '0.0:0' });
  t.equal((await readLog(t.testdir({ log: '\n' }), { lines: 1 })).text, '\n');
});

t.test('going on from a cursor', async (t) => {
  const home = t.testdir({ log: 'old\n' });
  const log = join(home, 'log');
  let { cursor } = await readLog(home, { lines: 1 });
  const next = async () => {
    const part = await readLog(home, { lines: 1, after: cursor });
    cursor = part.cursor;
    return part.text;
  };
  t.equal(await next(), '');
  appendFileSync(log, 'a\nb\npar');
  t.equal(await next(), 'a\nb\n', 'whole lines');
  appendFileSync(log, 't\nsplit');
  rotate(home);
  appendFileSync(log, ' here\n');
  t.equal(await next(), 'part\nsplit here\n', 'across a rotation');
  t.equal(await next(), '');
  appendFileSync(log, 'prompt> ');
  t.equal(await next(), 'prompt> ', 'what may never become a whole line is not kept back');
  rotate(home);
  // The file system may give the removed file’s number to the next one at once.
  appendFileSync(log, 'lost\n');
  rotate(home);
  appendFileSync(log, 'late\n');
  t.equal(await next(), 'lost\nlate\n', 'after two rotations, from the oldest that is kept');
});

t.test('much at once', async (t) => {
  const line = `${'x'.repeat(99)}\n`;
  const home = t.testdir({ log: line.repeat(10_000) });
  t.equal((await readLog(home, { lines: 10_000 })).text.length, 256 * 1024);
  let cursor = 'nonsense';
  let whole = '';
  for (;;) {
    const part = await readLog(home, { lines: 1, after: cursor });
    if (part.text === '') break;
    t.match(part.text, /\n$/);
    whole += part.text;
    cursor = part.cursor;
  }
  t.equal(whole, line.repeat(10_000), 'every byte once');
  for (const after of ['1.1:-5', '::', '0.0:99999999999999999999', `${cursor}0`])
    t.match(await readLog(home, { lines: 1, after }), { text: /^x/ }, after);
});
