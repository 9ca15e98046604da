/**
 * The randomized run: a fleet of real processes, people who deploy to it all the time, users who ask it all the time, and a
 * nemesis that breaks it all the time. What happened is written down from outside and judged by a program of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { whyNotHere } from '../machines/commands.ts';
import { Recording } from './recording.ts';
import { report } from './report.ts';
import { type Ended, Scenario } from './scenario.ts';
import { judge } from './verdict.ts';

const HELP = `Usage: scripts/chaos --minutes M [--seed S] [--hosts N] [--out DIR] [--keep] [--write]

  --minutes M   how long things are broken, at least one round
  --seed S      what is broken when, and what people do (default: a new one, which is printed)
  --hosts N     4 to 24 (default: 6)
  --out DIR     where the record goes (default: a temporary folder, removed when nothing was found)
  --keep        keep the record in any case
  --write       write docs/chaos-report.md`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string' },
    hosts: { type: 'string', default: '6' },
    out: { type: 'string' },
    keep: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const hosts = Number(values.hosts);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
if (values.help || !(minutes > 0) || !(hosts >= 4 && hosts <= 24) || !Number.isInteger(seed)) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}
const why = whyNotHere();
if (why !== undefined) {
  console.log(`SKIPPED: the chaos run ${why}`);
  process.exit(0);
}

const dir = resolve(values.out ?? mkdtempSync(join(tmpdir(), 'fleet-chaos-record-')));
console.log(`seed ${seed}, ${minutes} minutes, ${hosts} hosts; record in ${dir}`);
const recording = new Recording(dir);
const scenario = new Scenario({ seed, minutes, hosts }, recording);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => void scenario.remove().finally(() => process.exit(130)));
process.on('uncaughtException', (error) => {
  console.error(error);
  void scenario.remove().finally(() => process.exit(1));
});

let ended: Ended;
try {
  ended = await scenario.play((line) => console.log(line));
} finally {
  await scenario.remove();
  recording.close();
}
const verdict = judge(dir);
console.log(verdict.text);
console.log(report({ dir, ended, verdict, write: values.write }));
const clean = verdict.clean && ended.problem === null;
if (clean && !values.keep && values.out === undefined) rmSync(dir, { recursive: true, force: true });
else console.log(`The record stays in ${dir}`);
process.exitCode = clean ? 0 : 1;
