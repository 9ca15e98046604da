/** What a benchmark saw, and how it is told: a table in the terminal, the same one in Markdown. */

export interface Figure {
  what: string;
  unit: 'ms' | 'MB' | 'times';
  /** One a round. */
  values: readonly number[];
  /** The median should not be above this. */
  goal?: number;
}

export interface Section {
  title: string;
  figures: Figure[];
  /** How to read the figures, or why there are none. */
  notes: string[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Round by round, so that what slows both down is in neither. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, round) => value / theirs[round]!);
}

const HEAD = ['what', 'median', 'min to max', 'rounds', 'goal', 'met'];

export function inTerminal({ title, figures, notes }: Section): string {
  const rows = figures.length === 0 ? [] : [HEAD, ...figures.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(0, ...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('   '),
  );
  return [`\n# ${title}\n`, ...lines.map((line) => line.trimEnd()), ...notes.map((note) => `  ${note}`)].join(
    '\n',
  );
}

export function inMarkdown({ title, figures, notes }: Section): string {
  const rows = figures.map((figure) => `| ${cellsOf(figure).join(' | ')} |`);
  const table =
    figures.length === 0 ? [] : [`| ${HEAD.join(' | ')} |`, '|---|--:|--:|--:|--:|---|', ...rows, ''];
  return [`### ${title}`, '', ...table, ...notes.flatMap((note) => [note, ''])].join('\n');
}

function cellsOf({ what, unit, values, goal }: Figure): string[] {
  const middle = median(values);
  const spread =
    values.length === 1 ? '' : `${number(Math.min(...values), unit)} to ${number(Math.max(...values), unit)}`;
  return [
    what,
    `${number(middle, unit)} ${unit}`,
    spread,
    String(values.length),
    goal === undefined ? '' : `${goal} ${unit}`,
    goal === undefined ? '' : middle <= goal ? 'yes' : 'NO',
  ];
}

function number(value: number, unit: Figure['unit']): string {
  if (unit === 'times') return value.toFixed(2);
  return Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0);
}
