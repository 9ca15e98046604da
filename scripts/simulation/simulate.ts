/** Simulated deployments by the thousand: see scripts/simulate. */
import { parseArgs } from 'node:util';
import { type PlayedBy, playAll, type ToPlay } from './players.ts';
import { kindsNeverSeen, reportOf } from './report.ts';

/** Deployments of one fleet. */
const EACH = 25;
/** After so many, a kind of fault that never took effect is a fault of the simulation. */
const LONG = 10_000;
const TELL_MS = 5000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    deployments: { type: 'string' },
    minutes: { type: 'string' },
    processes: { type: 'string', default: '1' },
    'keep-going': { type: 'boolean', default: false },
    story: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
const wanted = Number(values.deployments ?? Number.POSITIVE_INFINITY);
const minutes = Number(values.minutes ?? (values.deployments === undefined ? 1 : Number.POSITIVE_INFINITY));

const since = performance.now();
const fleets: PlayedBy[] = [];
let begun = 0;
let done = 0;
let violations = 0;

function next(): ToPlay | undefined {
  const over = done >= wanted || performance.now() - since >= minutes * 60_000;
  if (over || (violations > 0 && !values['keep-going'])) return undefined;
  return { seed: seed + begun++, deployments: EACH, story: values.story };
}

function onPlayed(fleet: PlayedBy): void {
  fleets.push(fleet);
  done += fleet.deployments;
  if (fleet.violation === undefined) return;
  violations++;
  const { invariant, message } = fleet.violation;
  console.log(
    `VIOLATED ${invariant}: ${message}\n\nThe last of what happened in fleet ${fleet.seed}:`,
    `\n${fleet.last.join('\n')}`,
    `\n\nTo see it again: scripts/simulate --seed ${fleet.seed} --deployments 1 --story`,
  );
}

function tell(): void {
  const perMinute = (done / ((performance.now() - since) / 60_000)).toFixed(0);
  process.stderr.write(`${done} deployments, ${perMinute} a minute, violations: ${violations}\n`);
}

console.log(`seed ${seed}`);
const telling = setInterval(tell, TELL_MS);
await playAll(Number(values.processes), next, onPlayed).finally(() => clearInterval(telling));
if (violations > 0) process.exitCode = 1;
for (const kind of done < LONG ? [] : kindsNeverSeen(fleets)) {
  console.log(`not simulated: ${kind} never took effect`);
  process.exitCode = 1;
}
for (const line of reportOf(fleets, performance.now() - since)) console.log(line);
