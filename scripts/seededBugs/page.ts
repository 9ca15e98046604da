/** docs/seeded-bugs.md, and a line for the terminal. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trial } from './trial.ts';

export function line({ bug, outcome, told, seconds }: Trial): string {
  const by = outcome === 'found' ? `by ${bug.invariant}, ` : '';
  const why = outcome === 'found' ? '' : `: ${told}`;
  return `${bug.name.padEnd(34)} ${bug.means.padEnd(12)} ${outcome} ${by}after ${seconds.toFixed(0)}s${why}`;
}

export function writePage(trials: readonly Trial[]): void {
  const rows = trials.map(
    ({ bug, outcome, seconds }) =>
      `| \`${bug.name}\` | ${bug.what} | \`${bug.argv.join(' ')}\` | ${outcome === 'found' ? `${bug.invariant}, after ${seconds.toFixed(0)} s` : `**${outcome}**`} |`,
  );
  const found = trials.filter(({ outcome }) => outcome === 'found').length;
  const page = `# Seeded bugs

What looks for faults has to be shown to find them. Each of these bugs is a small patch to the product, in \`scripts/seeded-bugs/\`.
\`scripts/prove-checkers\` puts one after the other into a copy of the tree, runs the means that has to find it with the seed that
stands here, and demands that this invariant is violated. A means that fails by itself has found nothing.

| Bug | What it breaks | Means | Found by |
| --- | --- | --- | --- |
${rows.join('\n')}

${found} of ${trials.length} found. \`scripts/prove-checkers --write\` writes this page. The tests hold that every patch applies to the
tree as it is, and try two of them.
`;
  writeFileSync(join(import.meta.dirname, '../../docs/seeded-bugs.md'), page);
}
