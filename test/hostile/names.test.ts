/** A slice of scripts/hostile: names that mean harm, wherever a name comes in. */
import t from 'tap';
import { badNames } from '../../scripts/hostileInput/names/badNames.ts';
import { PLACES } from '../../scripts/hostileInput/names/run.ts';
import { Part } from '../../scripts/hostileInput/part.ts';

/** Every place gets its share of the names, each another one. */
const EVERY = 150;

t.ok(badNames().length >= 300, `${badNames().length} names`);

for (const [name, attack] of Object.entries(PLACES))
  t.test(name, async (t) => {
    const part = new Part(name);
    await attack(part, EVERY);
    t.same(part.faults, []);
    t.ok(part.tries > 0, part.report().join('\n'));
  });
