/**
 * Some of the cases of `scripts/crash-points`, others every day: controller and agents are killed, stopped and cut off at their
 * named points, and every deployment ends as it says. And the judge of all that sees what is wrong.
 */
import { appendFileSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { POINTS } from '@fleet/process/points.ts';
import t, { type Test } from 'tap';
import { casesOf, FAULTS } from '../../scripts/crashPoints/cases.ts';
import { judgeEnd, judgePrograms, judgeRest } from '../../scripts/crashPoints/judge.ts';
import { undergo } from '../../scripts/crashPoints/ordeal.ts';
import { inTerminal } from '../../scripts/crashPoints/report.ts';
import { Scene } from '../../scripts/crashPoints/scene.ts';

t.setTimeout(600_000);

const CASES = 8;
const DAY_MS = 86_400_000;

t.test('every point has its six cases, the same ones for a seed', async (t) => {
  const all = casesOf(7, { long: 0 });
  t.equal(all.length, POINTS.length * 2 * FAULTS.length);
  t.equal(all.length, 222);
  t.equal(new Set(all.map(({ point, phase, fault }) => `${point} ${phase} ${fault}`)).size, 222);
  t.strictSame(casesOf(7, { long: 0 }), all);
  t.notSame(casesOf(8, { long: 0 }), all);
});

t.test('today’s cases, on one fleet', async (t) => {
  const seed = Math.floor(Date.now() / DAY_MS);
  t.comment(`scripts/crash-points --seed ${seed} --slice ${CASES} --long 0`);
  const scene = await Scene.start();
  t.teardown(async () => {
    await scene.stop();
    scene.fleet.remove();
  });
  for (const each of casesOf(seed, { long: 0 }).slice(0, CASES)) {
    const verdict = await undergo(scene, each);
    // On a fleet on which something is wrong the next ones show nothing.
    if (!t.ok(verdict.struck && verdict.wrong.length === 0, inTerminal(verdict))) return;
  }
  const passed = new Set([...scene.passages().keys()].map((key) => key.split(' ')[0]));
  t.strictSame(
    POINTS.filter((point) => !passed.has(point)),
    [],
    'no point is passed by nobody',
  );
  await t.test('the judge sees what is wrong', (t) => mislead(t, scene));
});

/** Makes things wrong, one at a time, and right again. */
async function mislead(t: Test, scene: Scene): Promise<void> {
  const rest = () => judgeRest(scene, { succeeded: true });
  t.strictSame(await rest(), [], 'nothing is');

  const version = scene.current('a')!;
  const file = join(scene.home('a'), 'current/hook.sh');
  const text = readFileSync(file);
  appendFileSync(file, 'true\n');
  t.match(await rest(), [`a: ${version}/hook.sh differs`], 'a file of the release');
  writeFileSync(file, text);

  const link = join(scene.home('b'), '.current-abc');
  symlinkSync('releases/1.0.0', link);
  t.match(await rest(), ['b: left over: .current-abc'], 'a temporary link');
  rmSync(link);

  const states = join(scene.dir, 'data/balancers/balancer-front.json');
  const shown = readFileSync(states);
  writeFileSync(states, '{"ticker/a": "drain"}');
  t.match(
    await rest(),
    ['a is hidden, and no record says why', 'hidden after a success: a'],
    'a hidden host',
  );
  writeFileSync(states, shown);
  t.strictSame(await rest(), []);

  const { id } = await scene.newest();
  const { stdout } = await scene.expect(0, ['recap', String(id), '--json']);
  const { recap } = JSON.parse(stdout);
  t.strictSame(await judgeEnd(scene, recap, new Map()), []);
  recap.hosts[1].running = '0.9.0';
  t.match(
    await judgeEnd(scene, recap, new Map()),
    [/the recap says that b runs 0.9.0, and current is/],
    'a lie',
  );

  const lines = ['begin a 1.0.0 migrate', 'end a 1.0.0 migrate', 'begin a 1.0.0 before_stop'];
  t.strictSame(judgePrograms([...lines, 'begin a 1.0.0 before_stop']), [], 'one that may run twice may');
  t.strictSame(judgePrograms([...lines, 'begin a 1.0.0 migrate']), ['ran 2 times: a 1.0.0 migrate']);
}
