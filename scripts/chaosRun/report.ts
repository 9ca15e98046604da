/** What a run was, in figures: printed, and where that was asked for, as a page of the documentation. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { ProbeLine, TimelineLine } from './record.ts';
import { recoveries } from './recoveries.ts';
import type { Ended } from './scenario.ts';
import type { Verdict } from './verdict.ts';

const PAGE = new URL('../../docs/chaos-report.md', import.meta.url);

export function report(of: { dir: string; ended: Ended; verdict: Verdict; write: boolean }): string {
  const { dir, ended, verdict, write } = of;
  const timeline = read<TimelineLine>(join(dir, 'timeline.jsonl'));
  const probes = read<ProbeLine>(join(dir, 'probes.jsonl'));
  const text = [
    ...summary(dir, ended, timeline, probes),
    '',
    '## Faults',
    '',
    ...table(
      ['Fault', 'Times'],
      counts(timeline.flatMap((line) => (line.kind === 'fault.begin' ? [line.fault] : []))),
    ),
    '',
    '## Deployments, by how they ended',
    '',
    ...table(['State', 'Times'], deploymentsIn(join(dir, 'controller.sqlite'))),
    '',
    '## Calls of the command line, by exit status',
    '',
    ...table(['Call', 'Times'], callsIn(timeline)),
    '',
    '## Verdict of the checker',
    '',
    '```',
    verdict.text.replaceAll(dir, 'RECORD'),
    '```',
  ].join('\n');
  if (write) writeFileSync(PAGE, `${INTRODUCTION}${text}\n`);
  return text;
}

const INTRODUCTION = `# A randomized run

<!-- Made by \`scripts/chaos --write\`; changes go into the code that it is made from. -->

\`scripts/chaos\` deploys, rolls back, pauses, aborts and retries all the time on hosts in network namespaces behind HAProxy, while it
kills, freezes, cuts off and fills what takes part in it. What happened is written down from outside, and a checker that knows
nothing of the product's code judges it.

`;

function summary(dir: string, ended: Ended, timeline: TimelineLine[], probes: ProbeLine[]): string[] {
  const first = timeline[0]?.at ?? 0;
  const last = timeline.at(-1)?.at ?? 0;
  const failed = probes.filter((probe) => probe.status !== 200);
  const harmless = harmlessSpans(timeline);
  const unexplained = failed.filter(({ at }) => harmless.some(([from, to]) => at >= from && at <= to));
  const { cycles } = ended;
  const rows: Array<[string, string]> = [
    ['Seed', String(ended.seed)],
    ['Duration', `${((last - first) / 60_000).toFixed(1)} min`],
    ['Hosts', String(ended.hosts)],
    ['Cycles', `${cycles.harmless + cycles.harmful}, of them ${cycles.harmless} without harm to a host`],
    ['Rounds of faults', String(ended.rounds)],
    ['Requests through the balancer', String(probes.length)],
    ['Failed', String(failed.length)],
    ['Failed in cycles without harm to a host', String(unexplained.length)],
    ...recoveries(dir, timeline),
    ['Ended early', ended.problem === null ? 'no' : ended.problem.split('\n')[0]!],
  ];
  return table(['', ''], rows);
}

/** From one moment of rest to the next, where nothing in between could harm a user. */
function harmlessSpans(timeline: TimelineLine[]): Array<[number, number]> {
  const spans: Array<[number, number]> = [];
  let from: number | undefined;
  for (const line of timeline) {
    if (line.kind === 'fault.begin' && !line.harmless) from = undefined;
    if (line.kind !== 'quiescent' && line.kind !== 'end') continue;
    if (from !== undefined) spans.push([from, line.at]);
    from = line.at;
  }
  return spans;
}

function deploymentsIn(file: string): Array<[string, string]> {
  if (!existsSync(file)) return [];
  const database = new Database(file, { readonly: true });
  const rows = database.prepare('select state from deployments').all() as Array<{ state: string }>;
  database.close();
  return counts(rows.map(({ state }) => state));
}

function callsIn(timeline: TimelineLine[]): Array<[string, string]> {
  const verbs = new Map<number, string>();
  const ended: string[] = [];
  for (const line of timeline) {
    if (line.kind === 'call.begin') verbs.set(line.id, line.argv[0] ?? '');
    if (line.kind === 'call.end')
      ended.push(`${verbs.get(line.id)}, ${line.killed ? 'killed' : `exit ${line.exit}`}`);
  }
  return counts(ended);
}

function counts(words: readonly string[]): Array<[string, string]> {
  const count = new Map<string, number>();
  for (const word of words) count.set(word, (count.get(word) ?? 0) + 1);
  return [...count]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([word, times]) => [word, String(times)]);
}

function table(head: [string, string], rows: ReadonlyArray<[string, string]>): string[] {
  return [`| ${head.join(' | ')} |`, '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`)];
}

function read<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
