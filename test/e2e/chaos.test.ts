/** A minute of the randomized run, with a seed of its own each time: the checker finds nothing, and nothing is left behind. */
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startProgram } from '../../scripts/local/program.ts';
import { tryCommand, whyNotHere } from '../../scripts/machines/commands.ts';
import { commandLines } from '../fixtures/processes.ts';

t.setTimeout(600_000);

const CHAOS = new URL('../../scripts/chaosRun/chaos.ts', import.meta.url).pathname;

function skip(): false | string {
  const why = whyNotHere();
  if (why !== undefined && process.env.CI === 'true') throw new Error(why);
  return why ?? false;
}

t.test('a fleet survives a minute of anything', { skip: skip() }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'chaos-test-'));
  const tmp = join(home, 't');
  const record = join(home, 'record');
  const log = join(home, 'log');
  mkdirSync(tmp);
  const seed = String(randomInt(1e6));
  t.comment(`seed ${seed}`);
  const argv = [process.execPath, CHAOS, '--minutes', '0.4', '--hosts', '4', '--seed', seed, '--out', record];
  const run = startProgram(argv, { cwd: home, log, env: { TMPDIR: tmp } });
  t.teardown(() => run.stop());

  const clean = (await run.ended) === 0;
  t.ok(
    clean,
    `the checker is content with seed ${seed}`,
    clean ? {} : { record, printed: readFileSync(log, 'utf8') },
  );
  t.strictSame(readdirSync(tmp), [], 'no file is left');
  t.strictSame(
    commandLines().filter((line) => line.includes(tmp)),
    [],
    'no process is left',
  );
  t.notMatch(tryCommand('ip', 'netns', 'list'), `fleet-chaos-${run.pid}-`, 'no namespace is left');
  // What was found stays, to be looked at.
  if (clean) rmSync(home, { recursive: true, force: true });
});
