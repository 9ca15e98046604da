/** A slice of scripts/hostile: frames and requests by chance, against programs as they are started. */
import t from 'tap';
import { fuzzAgent, fuzzController } from '../../scripts/hostileInput/frames/run.ts';
import { Part } from '../../scripts/hostileInput/part.ts';
import { Random } from '../../scripts/random/random.ts';

const SEED = 20261121;

for (const [name, attack, count] of [
  ['a controller', fuzzController, 600],
  ['an agent', fuzzAgent, 1500],
] as const)
  t.test(`${count} frames and requests to ${name} (seed ${SEED})`, async (t) => {
    const part = new Part(name);
    await attack(part, new Random(SEED), count);
    t.same(part.faults, []);
    t.ok(part.tries > 0, part.report().join('\n'));
  });
