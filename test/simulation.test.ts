/**
 * A minute of simulated deployments, others each time, from seeds whose stories ended well when this was written. What fails here
 * fails again with `scripts/simulate --seed SEED --story`, where SEED is the one that the failure names. Seeds that nobody has
 * tried are for `scripts/simulate`: docs/survival.md says what is still open.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { play } from '../scripts/simulation/play.ts';
import { Shelf } from '../scripts/simulation/shelf.ts';

const MINUTE = 60_000;
/** The first seeds of ranges that were played, and how many fleets of 25 deployments there are in each. */
const PLAYED = { from: [10_000, 20_000, 30_000], fleets: 276 };
/** So many in any case, however slow the machine is. */
const LEAST = 100;

t.setTimeout(10 * MINUTE);
const shelf = new Shelf();

t.test('the same seed tells the same story', async (t) => {
  // Seed 1341782710 does not, and why is open.
  const seed = 10_003;
  const one = await play(seed, shelf, { deployments: 25 });
  const other = await play(seed, shelf, { deployments: 25 });
  t.equal(other.digest, one.digest, `seed ${seed}`);
  t.not((await play(seed + 1, shelf, { deployments: 25 })).digest, one.digest, 'and another one another');
});

t.test('nothing that must never happen does', async (t) => {
  const from = PLAYED.from[randomInt(PLAYED.from.length)]!;
  const first = randomInt(PLAYED.fleets);
  t.comment(`seeds from ${from + first}`);
  const end = performance.now() + MINUTE;
  let deployments = 0;
  for (let next = first; deployments < LEAST || performance.now() < end; next++) {
    const seed = from + (next % PLAYED.fleets);
    const played = await play(seed, shelf, { deployments: 25 });
    deployments += played.deployments;
    if (played.violation === undefined) continue;
    const { invariant, message } = played.violation;
    t.fail(`${invariant}: ${message}; scripts/simulate --seed ${seed} --deployments 1 --story`, {
      last: played.last,
    });
    return;
  }
  t.pass(`${deployments} deployments from seed ${from + first} on`);
});
