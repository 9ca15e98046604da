/** How many points were hit, by program, call and fault, and what was answered. */
import type { Hit } from './agentSweep.ts';

export interface Row {
  program: string;
  call: string;
  fault: string;
  points: number;
  held: number;
  /** What was answered, and how often. */
  answers: string;
}

export function summarize(hits: readonly Hit[]): Row[] {
  const groups = Map.groupBy(hits, ({ program, point }) => [program, point.call, point.fault].join(' '));
  return [...groups.values()].map((group) => {
    const { program, point } = group[0]!;
    const answers = Map.groupBy(group, ({ answer }) => answer ?? 'all went well');
    return {
      program,
      call: point.call,
      fault: point.fault.split('=')[1] ?? '',
      points: group.length,
      held: group.filter(({ faults }) => faults.length === 0).length,
      answers: [...answers].map(([answer, those]) => `${answer} ${those.length}`).join(', '),
    };
  });
}

const HEAD = ['program', 'call', 'fault', 'points', 'held', 'answers'];

function cellsOf({ program, call, fault, points, held, answers }: Row): string[] {
  return [program, call, fault, String(points), String(held), answers];
}

export function inTerminal(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function inMarkdown(
  rows: readonly Row[],
  found: { missed: number; broken: number; disorder: number; every: number },
): string {
  const points = rows.reduce((sum, row) => sum + row.points, 0);
  return `# System calls that go wrong

Written by \`./scripts/syscall-sweep --write\`, which lets one system call after the other go wrong in an agent that stages,
activates and prunes, and in the main thread of a controller that deploys: it fails with EIO or ENOSPC, or the program dies there.
Afterwards \`current\` leads to a complete release, what was noted can be read, the service is the process that it was, the next try
succeeds, and staging is empty. The order of writes and syncs is read from the calls of a round in which nothing goes wrong.

${points} points${found.every === 1 ? '' : ` (every ${found.every}. that there is)`} were hit, ${found.missed} were not within four
tries, as Node does not always make the same calls; ${found.broken} with something that did not hold, ${found.disorder} writes out of order.

| ${HEAD.join(' | ')} |
|---|---|---|--:|--:|---|
${rows.map((row) => `| ${cellsOf(row).join(' | ')} |`).join('\n')}
`;
}
