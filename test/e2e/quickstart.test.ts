/** The quickstart as a person starts it: what it shows is what the README promises, and it leaves nothing behind. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startProgram, waitUntil } from '../../scripts/local/program.ts';
import { commandLines } from '../fixtures/processes.ts';

t.setTimeout(600_000);

const QUICKSTART = new URL('../../scripts/quickstart', import.meta.url).pathname;

/** Everything that it makes lies below `dir`, and whatever it starts names that folder. */
function start(t: Test, ...argv: string[]) {
  const home = mkdtempSync(join(tmpdir(), 'fleet-tour-'));
  const dir = join(home, 'tmp');
  mkdirSync(dir);
  const log = join(home, 'log');
  const program = startProgram([QUICKSTART, ...argv], { cwd: home, log, env: { TMPDIR: dir } });
  t.teardown(async () => {
    await program.stop();
    rmSync(home, { recursive: true, force: true });
  });
  return { program, dir, printed: () => readFileSync(log, 'utf8') };
}

function nothingIsLeft(t: Test, dir: string): void {
  t.strictSame(readdirSync(dir), [], 'no file');
  t.strictSame(
    commandLines().filter((line) => line.includes(dir)),
    [],
    'no process',
  );
}

t.test('from nothing to a service that survives a broken version', async (t) => {
  const { program, dir, printed } = start(t);
  t.equal(await program.ended, 0) || t.comment(printed());
  const text = printed();
  for (const line of [
    '$ fleet build segmenter --ref v1.0.0',
    '$ fleet deploy segmenter --serial',
    '$ fleet rollback segmenter --host cubed-segmenter-b --to 1.0.0 -y',
    '$ fleet status',
    '$ fleet history',
    /^RECAP segmenter 1\.1\.0 production, deployment 2, \S+$/m,
    /^ {2}cubed-segmenter-b +1\.0\.0 +running +visible$/m,
    /^cubed-segmenter-a +: ok=\d+ .*failed=1 .*rescued=1 .*running=1\.1\.0$/m,
    /^cubed-segmenter-c +: ok=0 .*skipped=8 .*running=1\.1\.0$/m,
    'exit status 5',
  ])
    t.match(text, line);
  const counts = [...text.matchAll(/^requests .*: (\d+) sent, (\d+) failed/gm)];
  t.strictSame(
    counts.map(([, , failed]) => failed),
    ['0', '0'],
    'every request was answered',
  );
  t.ok(Number(counts[1]?.[1]) > Number(counts[0]?.[1]), 'and they went on');
  nothingIsLeft(t, dir);
});

t.test('interrupted in the middle', async (t) => {
  const { program, dir, printed } = start(t);
  await waitUntil('a service runs', () => printed().includes('1.0.0 verified'), program, 240_000);
  t.equal(await program.stop('SIGINT').then(() => program.ended), 130) || t.comment(printed());
  nothingIsLeft(t, dir);
});
