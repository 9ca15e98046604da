/**
 * A minute of simulated deployments from seeds that nobody has tried. What fails here fails again with
 * `scripts/simulate --seed SEED --deployments 1 --story`, where SEED is the one that the failure names.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { play } from '../scripts/simulation/play.ts';
import { Shelf } from '../scripts/simulation/shelf.ts';

const MINUTE = 60_000;
/** So many in any case, however slow the machine is. */
const LEAST = 100;

t.setTimeout(10 * MINUTE);
const shelf = new Shelf();
const first = randomInt(2 ** 31);

t.test('the same seed tells the same story', async (t) => {
  const lines: string[] = [];
  const told: string[] = [];
  const one = await play(first, shelf, { deployments: 25, onLine: (line) => lines.push(line) });
  const other = await play(first, shelf, { deployments: 25, onLine: (line) => told.push(line) });
  const at = lines.findIndex((line, index) => line !== told[index]);
  t.equal(other.digest, one.digest, `seed ${first}`, { lines: [lines[at], told[at]] });
  t.not((await play(first + 1, shelf, { deployments: 25 })).digest, one.digest, 'and another one another');
});

t.test('nothing that must never happen does', async (t) => {
  const end = performance.now() + MINUTE;
  let deployments = 0;
  for (let seed = first; deployments < LEAST || performance.now() < end; seed++) {
    const played = await play(seed, shelf, { deployments: 25 });
    deployments += played.deployments;
    if (played.violation === undefined) continue;
    const { invariant, message } = played.violation;
    t.fail(`${invariant}: ${message}; scripts/simulate --seed ${seed} --deployments 1 --story`, {
      last: played.last,
    });
    return;
  }
  t.pass(`${deployments} deployments from seed ${first} on`);
});
