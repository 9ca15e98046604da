/** Hostile input against real programs: see scripts/hostile. */
import { parseArgs } from 'node:util';
import { Random } from '../random/random.ts';
import { tryKnown, tryMutants } from './archives/run.ts';
import { fuzzAgent, fuzzController } from './frames/run.ts';
import { PLACES } from './names/run.ts';
import { Part } from './part.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    archives: { type: 'string', default: '200' },
    frames: { type: 'string', default: '5000' },
    minutes: { type: 'string' },
    agents: { type: 'string', default: '2' },
    only: { type: 'string' },
    every: { type: 'string', default: '1' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const agents = Number(values.agents);
const frames = minutes === undefined ? Number(values.frames) : 1e9;
const archives = minutes === undefined ? Number(values.archives) : Number.POSITIVE_INFINITY;

const PARTS: Record<string, Record<string, (part: Part, random: Random) => Promise<void>>> = {
  archives: {
    'archives made by hand': (part) => tryKnown(part, agents),
    'archives changed by chance': (part, random) => tryMutants(part, random, archives, agents),
  },
  names: Object.fromEntries(
    Object.entries(PLACES).map(([name, run]) => [name, (part: Part) => run(part, Number(values.every))]),
  ),
  frames: {
    'frames and requests to a controller': (part, random) => fuzzController(part, random, frames * 0.6),
    'frames to an agent': (part, random) => fuzzAgent(part, random, frames * 0.4),
  },
};

console.log(`seed ${seed}`);
for (const [kind, parts] of Object.entries(PARTS)) {
  if (values.only !== undefined && values.only !== kind) continue;
  for (const [name, run] of Object.entries(parts)) {
    const part = new Part(name, minutes);
    await run(part, new Random(seed));
    for (const line of part.report()) console.log(line);
    if (part.faults.length > 0) process.exitCode = 1;
  }
}
