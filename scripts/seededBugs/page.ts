/** docs/seeded-bugs.md, and a line for the terminal. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bug } from './patches.ts';
import type { Trial } from './trial.ts';

export function line({ bug, outcome, told, seconds }: Trial): string {
  const by = outcome === 'found' ? `by ${bug.invariant}, ` : '';
  const why = outcome === 'found' ? '' : `: ${told}`;
  return `${bug.name.padEnd(34)} ${bug.means.padEnd(12)} ${outcome} ${by}after ${seconds.toFixed(0)}s${why}`;
}

/** Bugs that were not tried keep the row that they had. */
export function writePage(bugs: readonly Bug[], trials: readonly Trial[]): void {
  const before = existsSync(PAGE) ? readFileSync(PAGE, 'utf8').split('\n') : [];
  const rows = bugs.map((bug) => {
    const { name, what, argv } = bug;
    const trial = trials.find((each) => each.bug.name === name);
    const head = `| \`${name}\` | ${what} | \`${argv.join(' ')}\` |`;
    if (trial !== undefined) return `${head} ${howFound(trial)} |`;
    return before.find((row) => row.startsWith(head)) ?? `${head} not tried |`;
  });
  writeFileSync(
    PAGE,
    `# Seeded bugs

What looks for faults has to be shown to find them. Each of these bugs is a small patch to the product, in \`scripts/seeded-bugs/\`.
\`scripts/prove-checkers\` puts one after the other into a copy of the tree, runs the means that has to find it with the seed that
stands here, and demands that this invariant is violated. A means that fails by itself has found nothing.

| Bug | What it breaks | Means | Found by |
| --- | --- | --- | --- |
${rows.join('\n')}

\`scripts/prove-checkers --write\` writes this page. The tests hold that every patch applies to the tree as it is.
`,
  );
}

const PAGE = join(import.meta.dirname, '../../docs/seeded-bugs.md');

const howFound = ({ bug, outcome, seconds }: Trial) =>
  outcome === 'found' ? `${bug.invariant}, after ${seconds.toFixed(0)} s` : `**${outcome}**`;
