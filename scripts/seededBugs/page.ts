/** docs/seeded-bugs.md and docs/seeded-holes.md, and a line for the terminal. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bug, KINDS, type Kind } from './patches.ts';
import type { Trial } from './trial.ts';

export function line({ bug, outcome, told, seconds }: Trial): string {
  const by = outcome === 'found' ? `by ${bug.invariant ?? `“${bug.words}”`}, ` : '';
  const why = outcome === 'found' ? '' : `: ${told}`;
  return `${bug.name.padEnd(34)} ${bug.means.padEnd(12)} ${outcome} ${by}after ${seconds.toFixed(0)}s${why}`;
}

/** Bugs that were not tried keep the row that they had. */
export function writePages(bugs: readonly Bug[], trials: readonly Trial[]): void {
  for (const kind of KINDS) {
    const page = join(import.meta.dirname, `../../docs/seeded-${kind}.md`);
    const before = existsSync(page) ? readFileSync(page, 'utf8').split('\n') : [];
    const rows = bugs
      .filter((bug) => bug.kind === kind)
      .map((bug) => {
        const trial = trials.find((each) => each.bug === bug);
        if (trial !== undefined) return `${head(bug)} ${howFound(trial)} |`;
        return before.find((row) => row.startsWith(head(bug))) ?? `${head(bug)} not tried |`;
      });
    writeFileSync(page, `${INTRODUCTIONS[kind]}\n${rows.join('\n')}\n\n${END}`);
  }
}

const INTRODUCTIONS: Record<Kind, string> = {
  bugs: `# Seeded bugs

What looks for faults has to be shown to find them. Each of these bugs is a small patch to the product, in \`scripts/seeded-bugs/\`.
\`scripts/prove-checkers\` puts one after the other into a copy of the tree, runs the means that has to find it with the seed that
stands here, and demands that this invariant is violated. A means that fails by itself has found nothing.

| Bug | What it breaks | Means | Found by |
| --- | --- | --- | --- |`,
  holes: `# Seeded holes

A defence that no test would miss is none. Each of these patches, in \`scripts/seeded-holes/\`, takes one away from the product.
\`scripts/prove-checkers --kind holes\` puts one after the other into a copy of the tree, runs the test file that stands here, and
demands that the test that is named goes red. A test that fails at something else has found nothing.

| Hole | What is gone | Test | Goes red |
| --- | --- | --- | --- |`,
};
const END =
  '`scripts/prove-checkers --write` writes this page. The tests hold that every patch applies to the tree as it is.\n';

const head = ({ name, what, argv, means }: Bug) =>
  `| \`${name}\` | ${what} | \`${(means === 'test' ? argv.slice(1) : argv).join(' ')}\` |`;

function howFound({ bug, outcome, seconds }: Trial): string {
  if (outcome !== 'found') return `**${outcome}**`;
  return bug.invariant === null ? `${bug.words}` : `${bug.invariant}, after ${seconds.toFixed(0)} s`;
}
