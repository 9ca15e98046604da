/** Simulated deployments by the thousand: see scripts/simulate. */
import { parseArgs } from 'node:util';
import { type Played, play } from './play.ts';
import { kindsNeverSeen, reportOf } from './report.ts';
import { Shelf } from './shelf.ts';

/** Deployments of one fleet. */
const EACH = 25;
/** After so many, a kind of fault that never took effect is a fault of the simulation. */
const LONG = 10_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    deployments: { type: 'string' },
    minutes: { type: 'string' },
    story: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const wanted = values.deployments === undefined ? Number.POSITIVE_INFINITY : Number(values.deployments);
const minutes = Number(values.minutes ?? (values.deployments === undefined ? 1 : Number.POSITIVE_INFINITY));

const shelf = new Shelf();
const since = performance.now();
const fleets: Played[] = [];
let done = 0;
process.on('unhandledRejection', (error) => {
  console.error(`VIOLATED: a promise that nobody waits for has failed, fleet ${seed + fleets.length}`, error);
  process.exit(1);
});
console.log(`seed ${seed}`);
for (let next = seed; done < wanted && performance.now() - since < minutes * 60_000; next++) {
  const fleet = await play(next, shelf, {
    deployments: EACH,
    ...(values.story ? { onLine: (line: string) => console.log(line) } : {}),
  });
  fleets.push(fleet);
  done += fleet.deployments;
  if (fleet.violation === undefined) continue;
  const { invariant, message } = fleet.violation;
  console.log(`VIOLATED ${invariant}: ${message}\n\nThe last of what happened in fleet ${next}:`);
  for (const line of fleet.last) console.log(line);
  console.log(`\nTo see it again: scripts/simulate --seed ${next} --deployments 1 --story`);
  process.exitCode = 1;
  break;
}
for (const kind of done < LONG ? [] : kindsNeverSeen(fleets)) {
  console.log(`not simulated: ${kind} never took effect`);
  process.exitCode = 1;
}
for (const line of reportOf(fleets, performance.now() - since)) console.log(line);
