/** What a round of cases showed: one line a case, and the page of docs/. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { POINTS } from '@fleet/process/points.ts';
import { FAULTS } from './cases.ts';
import type { Verdict } from './ordeal.ts';
import type { Round } from './round.ts';

const PAGE = join(import.meta.dirname, '../../docs/crash-points.md');
const [BEGIN, END] = ['<!-- written by scripts/crash-points --write: begin -->', '<!-- end -->'];

export function inTerminal({ case: each, struck, recoverMs, ended, wrong }: Verdict): string {
  const { point, phase, fault, program, holdMs, heal } = each;
  const how = fault === 'kill' ? '' : fault === 'stop' ? ` ${holdMs} ms` : ` ${holdMs} ms, ${heal}`;
  const seen = struck
    ? `${ended}, ${recoverMs === null ? 'nothing left to do' : `${recoverMs} ms`}`
    : 'NOT STRUCK';
  const line = `${phase} ${point}: ${fault}${how} (${program}): ${seen}`;
  return [line, ...wrong.map((text) => `     WRONG: ${text}`)].join('\n');
}

/** The part of the page that a run writes. */
export function page({ seed, round }: { seed: number; round: Round }): string {
  const { verdicts } = round;
  const bad = verdicts.filter(({ wrong }) => wrong.length > 0);
  const lines = [
    `\`scripts/crash-points --seed ${seed} --write\`: ${verdicts.length} cases, ${bad.length} bad.`,
    '',
    '| From … until … | median | worst |',
    '| --- | ---: | ---: |',
    figure(
      'a killed controller is started again',
      'the deployment has achieved its next step',
      verdicts,
      (each) => each.case.fault === 'kill' && each.case.program === 'controller',
    ),
    figure(
      'a killed agent is started again',
      'it has reported',
      verdicts,
      (each) => each.case.fault === 'kill' && each.case.program !== 'controller',
    ),
    figure(
      'a stopped program is woken',
      'the deployment has achieved its next step',
      verdicts,
      (each) => each.case.fault === 'stop',
    ),
    figure(
      'a cut network is whole',
      'the deployment has achieved its next step',
      verdicts,
      (each) => each.case.fault === 'cut',
    ),
    '',
    '| Point | struck | passed | killed | stopped | network cut |',
    '| --- | ---: | ---: | --- | --- | --- |',
  ];
  for (const point of POINTS) {
    const mine = verdicts.filter((each) => each.case.point === point);
    const cells = FAULTS.map((fault) =>
      (['before', 'after'] as const)
        .map((phase) => cell(mine.find((each) => each.case.fault === fault && each.case.phase === phase)))
        .join(', '),
    );
    const struck = mine.filter((each) => each.struck).length;
    lines.push(`| ${point} | ${struck} | ${round.passages.get(point) ?? 0} | ${cells.join(' | ')} |`);
  }
  const least = POINTS.toSorted(
    (one, other) => (round.passages.get(one) ?? 0) - (round.passages.get(other) ?? 0),
  )[0]!;
  lines.push('', `Passed least often: ${least}, ${round.passages.get(least) ?? 0} times.`);
  for (const each of bad) lines.push('', `    ${inTerminal(each).replaceAll('\n', '\n    ')}`);
  return lines.join('\n');
}

function cell(verdict: Verdict | undefined): string {
  if (verdict === undefined) return '–';
  if (!verdict.struck) return '**not struck**';
  if (verdict.wrong.length > 0) return '**bad**';
  const { ended, recoverMs, case: each } = verdict;
  const long = each.fault !== 'kill' && each.holdMs > 1000 ? ` (${each.holdMs / 1000} s)` : '';
  return `${ended}${recoverMs === null ? '' : ` ${(recoverMs / 1000).toFixed(1)} s`}${long}`;
}

function figure(from: string, until: string, verdicts: Verdict[], which: (each: Verdict) => boolean): string {
  const times = verdicts
    .filter(which)
    .flatMap(({ recoverMs }) => recoverMs ?? [])
    .sort((one, other) => one - other);
  const seconds = (ms: number | undefined) => (ms === undefined ? '–' : `${(ms / 1000).toFixed(2)} s`);
  return `| ${from} … ${until} (${times.length} cases) | ${seconds(times[Math.floor(times.length / 2)])} | ${seconds(times.at(-1))} |`;
}

export function writePage(seen: { seed: number; round: Round }): string {
  const text = readFileSync(PAGE, 'utf8');
  const [before, after] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))];
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${page(seen)}\n\n${after}`);
  return PAGE;
}
