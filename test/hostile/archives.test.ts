/** A slice of scripts/hostile: releases that mean harm, sent to a real agent as a controller sends any other. */
import t from 'tap';
import { tryKnown, tryMutants } from '../../scripts/hostileInput/archives/run.ts';
import { Part } from '../../scripts/hostileInput/part.ts';
import { Random } from '../../scripts/random/random.ts';

const SEED = 20261121;
/** All of them are unpacked in packages/artifact/hostile.test.ts; so many go the whole way here. */
const EACH = 4;

t.test('archives and manifests made by hand', async (t) => {
  const part = new Part('by hand');
  await tryKnown(part, 2, (all) => all.filter((_, number) => number % EACH === 0));
  t.same(part.faults, []);
  t.ok(part.tries >= 60, `${part.tries} were tried`);
});

t.test(`archives changed by chance (seed ${SEED})`, async (t) => {
  const part = new Part('by chance');
  await tryMutants(part, new Random(SEED), 40, 2);
  t.same(part.faults, []);
  t.equal(part.tries, 40);
});
