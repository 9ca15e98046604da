/**
 * A minute of simulated deployments from a seed that nobody has tried before. What fails here fails again with
 * `scripts/simulate --seed SEED --story`, where SEED is the one that the failure names.
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

t.test('the same seed tells the same story', async (t) => {
  const seed = randomInt(2 ** 31);
  const one = await play(seed, shelf, { deployments: 25 });
  const other = await play(seed, shelf, { deployments: 25 });
  t.equal(other.digest, one.digest, `seed ${seed}`);
  t.not((await play(seed + 1, shelf, { deployments: 25 })).digest, one.digest, 'and another one another');
});

t.test('nothing that must never happen does', async (t) => {
  const first = randomInt(2 ** 31);
  t.comment(`seeds from ${first}`);
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
