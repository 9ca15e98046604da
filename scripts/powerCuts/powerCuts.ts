/** `scripts/power-cuts`: cuts the power again and again, and tells what held. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../random/random.ts';
import { skipWithoutStrace } from '../tracing/strace.ts';
import { AgentSide } from './agentSide.ts';
import { ControllerSide } from './controllerSide.ts';
import type { Cut, Moment } from './cuts.ts';
import { skipWithoutPowerDisk } from './disk.ts';
import { inMarkdown } from './report.ts';

type Calls = Omit<Extract<Moment, { call: string }>, 'nth'>;

const PAGE = join(import.meta.dirname, '../../docs/power-cuts.md');

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    cuts: { type: 'string', default: '10' },
    only: { type: 'string', default: 'agent,controller' },
    every: { type: 'string', default: '1' },
    random: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});
const seed = Number(flags.seed);
const every = Number(flags.every);
const luck = new Random(seed);
const probe = mkdtempSync(join(tmpdir(), 'fleet-probe-'));
const missing = skipWithoutStrace() || skipWithoutPowerDisk(probe);
rmSync(probe, { recursive: true });
if (missing) {
  say(`Skipped: ${missing}`);
  process.exit(2);
}
say(`seed ${seed}`);
const cuts: Cut[] = [];
let close: (() => Promise<void>) | undefined;
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, () => void close?.().finally(() => process.exit(status)));

if (flags.only.includes('agent'))
  await cutAll(await AgentSide.open(), [
    { call: 'fsync', thread: 'files' },
    { call: 'rename', thread: 'files' },
  ]);
if (flags.only.includes('controller'))
  await cutAll(await ControllerSide.open(), [
    { call: 'fsync', thread: 'main' },
    { call: 'fsync', thread: 'files' },
    { call: 'rename', thread: 'files' },
  ]);
const broken = cuts.filter(({ faults }) => faults.length > 0);
say(`\n${cuts.length} cuts, ${broken.length} with something that did not hold (seed ${seed})`);
if (flags.write) writeFileSync(PAGE, inMarkdown(cuts, { seed, every }));
process.exitCode = broken.length > 0 || cuts.length === 0 ? 1 : 0;

async function cutAll(side: AgentSide | ControllerSide, calls: Calls[]): Promise<void> {
  close = () => side.close();
  try {
    const lasts = await side.measure();
    if (!flags.random)
      for (const each of calls) for (let nth = 1; tell(await side.cut({ ...each, nth })); nth += every);
    for (let left = Number(flags.cuts); left > 0; left--)
      tell(await side.cut({ afterMs: Math.round(luck.next() * lasts) }));
  } finally {
    await side.close();
  }
}

function tell(cut: Cut | null): boolean {
  if (cut === null) return false;
  cuts.push(cut);
  const held = cut.faults.length === 0 ? 'held' : 'DID NOT HOLD';
  say(`${cut.side.padEnd(10)} ${held}  ${cut.where}  (${cut.acknowledged} acknowledged)`);
  for (const fault of cut.faults) say(`    ${fault}`);
  return true;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
