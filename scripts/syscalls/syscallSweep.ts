/** `scripts/syscall-sweep`: lets one system call after the other go wrong, and tells what held. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { skipWithoutStrace } from '../tracing/strace.ts';
import { AgentSweep, type Hit } from './agentSweep.ts';
import { ControllerSweep } from './controllerSweep.ts';
import { FAULTS, type Fault, type Point } from './points.ts';
import { inMarkdown, inTerminal, summarize } from './report.ts';

const PAGE = join(import.meta.dirname, '../../docs/syscall-sweep.md');
/** Node tells its threads of each other by writes to a descriptor, and not always equally many. */
const TRIES = 4;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: 'agent,controller' },
    fault: { type: 'string', default: FAULTS.join(',') },
    every: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    write: { type: 'boolean', default: false },
  },
});
const every = Number(flags.every);
const faults = FAULTS.filter((fault) => flags.fault.split(',').some((name) => fault.endsWith(name)));
const missing = skipWithoutStrace();
if (missing) {
  say(`Skipped: ${missing}`);
  process.exit(2);
}

const hits: Hit[] = [];
const disorder: string[] = [];
let missed = 0;
let close: (() => Promise<void>) | undefined;
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, () => void close?.().finally(() => process.exit(status)));

if (flags.only.includes('agent')) await sweepAgent();
if (flags.only.includes('controller')) await sweepController();
const summary = summarize(hits);
say(`\n${inTerminal(summary)}\n`);
const broken = hits.filter(({ faults }) => faults.length > 0).length;
const unhit = summary.filter(({ points }) => points === 0).length;
say(
  `${hits.length} points hit, ${missed} missed; ${broken} with something that did not hold, ${disorder.length} writes out of order`,
);
if (flags.write)
  writeFileSync(PAGE, inMarkdown(summary, { missed, broken, disorder: disorder.length, every }));
process.exitCode = broken > 0 || disorder.length > 0 || hits.length === 0 || unhit > 0 ? 1 : 0;

async function sweepAgent(): Promise<void> {
  const sweep = await AgentSweep.open();
  close = () => sweep.close();
  try {
    for (const thread of ['files', 'unpacking'] as const) {
      const seen = await sweep.look(thread, faults);
      disorder.push(...seen.disorder);
      for (const line of seen.disorder) say(`OUT OF ORDER  ${line}`);
      await each(seen.points, (point) => sweep.hit(thread, point));
    }
  } finally {
    await sweep.close();
  }
}

async function sweepController(): Promise<void> {
  const sweep = await ControllerSweep.open();
  close = () => sweep.close();
  try {
    // What matters of writes is whether they find room; of syncs, whether they are believed.
    const wanted = ({ call, fault }: Point) => (call === 'pwrite64') === (fault === 'error=ENOSPC');
    const points = (await sweep.look(faults)).filter(wanted);
    await each(points, (point) => sweep.hit(point));
  } finally {
    await sweep.close();
  }
}

async function each(points: Point[], hit: (point: Point) => Promise<Hit | null>): Promise<void> {
  const chosen = points.filter((_, index) => index % every === Number(flags.from) % every);
  for (const point of chosen) {
    let found: Hit | null = null;
    for (let tries = 0; found === null && tries < TRIES; tries++) found = await hit(point);
    if (found) tell(found);
    else missed += 1;
  }
}

function tell(hit: Hit): void {
  hits.push(hit);
  const { point, answer, faults } = hit;
  const held = faults.length === 0 ? 'held' : 'DID NOT HOLD';
  say(
    `${hit.program.padEnd(10)} ${held}  ${nameOf(point.fault)} at ${point.place}: ${answer ?? 'all went well'}`,
  );
  for (const fault of faults) say(`    ${fault}`);
}

function nameOf(fault: Fault): string {
  return fault.split('=')[1] ?? fault;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
