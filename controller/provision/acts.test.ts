/** Scripts of acts as sh runs them: here, on files of our own. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Act, HELD, runStep, writeFile } from './acts.ts';

const OWNER = userInfo().username;

function done({ do: what }: Act, stdin?: string) {
  if (what.by !== 'root') throw new Error('no script');
  return spawnSync('sh', ['-c', what.script, 'fleet', ...what.args], {
    input: stdin ?? what.stdin ?? '',
    encoding: 'utf8',
  });
}
const file = (path: string, more: { check?: string[]; mode?: string } = {}) => {
  const content = Buffer.from('what it holds\n');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const group = spawnSync('id', ['-gn'], { encoding: 'utf8' }).stdout.trim();
  return writeFile({ path, content, sha256, mode: '0640', owner: OWNER, group, ...more }, false);
};

t.test('a file counts when it is whole and well, and not before', async (t) => {
  const dir = t.testdir({});
  const path = join(dir, "it's a folder", 'a file');
  t.equal(done(file(path)).status, 0);
  t.equal(readFileSync(path, 'utf8'), 'what it holds\n');
  t.equal(statSync(path).mode & 0o7777, 0o640);

  const cut = join(dir, 'cut');
  const ended = done(file(cut), 'what it');
  t.not(ended.status, 0);
  t.match(ended.stderr, 'did not arrive whole');
  const refused = join(dir, 'refused');
  t.not(done(file(refused, { check: ['sh', '-c', 'echo not well; exit 1', 'check'] })).status, 0);
  for (const each of [cut, refused]) t.notOk(existsSync(each), each);
  t.equal(done(file(join(dir, 'good'), { check: ['grep', '-q', 'holds'] })).status, 0);
  t.same(readdirSync(dir).sort(), ['good', "it's a folder"], 'nothing half-done is left');
});

t.test('a step is run, unless what it is for holds', async (t) => {
  const marker = join(t.testdir({}), "mark'er $HOME");
  const step = runStep({
    name: 'mark',
    command: ['touch', marker],
    unless: ['test', '-e', marker],
    timeout: 5000,
  });
  t.equal(done(step).status, 0);
  t.ok(existsSync(marker));
  t.equal(done(step).status, HELD);
  t.equal(done(runStep({ name: 'fails', command: ['sh', '-c', 'exit 7'], timeout: 5000 })).status, 7);
  t.equal(done(runStep({ name: 'slow', command: ['sleep', '60'], timeout: 100 })).status, 124);
});
