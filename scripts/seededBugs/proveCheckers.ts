/** `scripts/prove-checkers`: each bug is put in, looked for, and taken out again. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { line, writePages } from './page.ts';
import { type Bug, KINDS, readBugs } from './patches.ts';
import { Tree } from './tree.ts';
import { type Trial, tryBug } from './trial.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kind: { type: 'string' },
    means: { type: 'string' },
    log: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const all = readBugs();
const bugs = chosen();
const log = values.log === undefined ? null : resolve(values.log);
if (log !== null) mkdirSync(log, { recursive: true });

const tree = Tree.copy();
process.on('exit', () => tree.remove());
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
const trials: Trial[] = [];
for (const bug of bugs) {
  const trial = await attempt(bug);
  trials.push(trial);
  console.log(line(trial));
  if (values.write) writePages(all, trials);
}
const found = trials.filter(({ outcome }) => outcome === 'found').length;
console.log(`\n${found} of ${trials.length} found`);
process.exitCode = found === trials.length && found > 0 ? 0 : 1;

function chosen(): Bug[] {
  const unknown = positionals.filter((name) => !all.some((bug) => bug.name === name));
  if (unknown.length > 0) throw new Error(`no such bug: ${unknown.join(', ')}`);
  if (values.kind !== undefined && !KINDS.some((kind) => kind === values.kind))
    throw new Error(`--kind is ${KINDS.join(' or ')}`);
  return all.filter(
    ({ kind, name, means }) =>
      (values.kind === undefined || values.kind === kind) &&
      (positionals.length === 0 || positionals.includes(name)) &&
      (values.means === undefined || values.means === means),
  );
}

async function attempt(bug: Bug): Promise<Trial> {
  try {
    tree.put(bug);
  } catch (error) {
    const told = `the patch does not apply: ${(error as Error).message.replaceAll('\n', ' ')}`;
    return { bug, outcome: 'broken', told, seconds: 0 };
  }
  try {
    return await tryBug(bug, tree.directory, log === null ? null : join(log, `${bug.name}.log`));
  } finally {
    tree.take(bug);
  }
}
