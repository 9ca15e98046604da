/** `scripts/crash-points`: strikes controller and agents at their named points, and judges what becomes of it. */
import { parseArgs } from 'node:util';
import { POINTS } from '@fleet/process/points.ts';
import { casesOf } from './cases.ts';
import { inTerminal, page, writePage } from './report.ts';
import { undergoAll } from './round.ts';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    only: { type: 'string' },
    fault: { type: 'string' },
    slice: { type: 'string' },
    fleets: { type: 'string', default: '1' },
    long: { type: 'string', default: '0.05' },
    write: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const whole = flags.only === undefined && flags.fault === undefined && flags.slice === undefined;
if (flags.write && !whole) {
  say('--write takes the whole run: leave out --only, --fault and --slice');
  process.exit(2);
}
const seed = Number(flags.seed ?? Math.floor(Math.random() * 1e6));
const cases = casesOf(seed, { long: Number(flags.long) })
  .filter(({ point }) => flags.only === undefined || point.includes(flags.only))
  .filter(({ fault }) => flags.fault === undefined || fault === flags.fault)
  .slice(0, Number(flags.slice ?? Number.POSITIVE_INFINITY));
say(`${cases.length} cases, seed ${seed}`);

const ending = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ending.abort());
const round = await undergoAll(cases, {
  fleets: Number(flags.fleets),
  keep: flags.keep,
  signal: ending.signal,
  tell: (verdict, at) => say(`${String(at).padStart(3)}  ${inTerminal(verdict)}`),
});
say(page({ seed, round }).split('\n').slice(0, 40).join('\n'));
if (flags.write) say(`written: ${writePage({ seed, round })}`);

const bad = round.verdicts.filter(({ wrong }) => wrong.length > 0);
const missed = whole
  ? POINTS.filter((point) => !round.verdicts.some((each) => each.struck && each.case.point === point))
  : [];
say(`\n${round.verdicts.length} cases, ${bad.length} bad, ${missed.length} points never struck`);
process.exitCode = bad.length + missed.length > 0 || round.verdicts.length < cases.length ? 1 : 0;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
