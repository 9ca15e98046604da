/** Every seeded bug still fits the tree as it is; and that a bug is found, or is not, is told rightly. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Bug, readBugs } from './patches.ts';
import { checkPatch, Tree } from './tree.ts';
import { tryBug } from './trial.ts';

t.test('the patches', async (t) => {
  const bugs = readBugs();
  for (const [kind, least] of [
    ['bugs', 12],
    ['holes', 20],
  ] as const) {
    const { length } = bugs.filter((bug) => bug.kind === kind);
    t.ok(length >= least, `${length} ${kind}`);
  }
  for (const bug of bugs) t.doesNotThrow(() => checkPatch(bug), `${bug.name} applies`);
  t.throws(
    () => checkPatch({ ...bugs[0]!, path: join(import.meta.dirname, 'patches.ts') }),
    'one that does not is told',
  );
});

t.test('a copy of the tree', async (t) => {
  const tree = Tree.copy();
  t.teardown(() => tree.remove());
  const [bug] = readBugs();
  const [, path = ''] = /^\+\+\+ b\/(.*)$/m.exec(readFileSync(bug!.path, 'utf8')) ?? [];
  const read = () => readFileSync(join(tree.directory, path), 'utf8');
  const before = read();
  tree.put(bug!);
  t.not(read(), before, 'has the bug');
  tree.take(bug!);
  t.equal(read(), before, 'and then has it not');
  t.equal(
    readFileSync(join(import.meta.dirname, '../..', path), 'utf8'),
    before,
    'the tree itself never had it',
  );
});

const SIMULATE = join(import.meta.dirname, '../simulate');
t.test('two that are found soon', { skip: !existsSync(SIMULATE) && 'needs scripts/simulate' }, async (t) => {
  const tree = Tree.copy();
  t.teardown(() => tree.remove());
  for (const name of ['unhide-before-smoke', 'journal-not-consulted']) {
    const bug = readBugs().find((each) => each.name === name)!;
    tree.put(bug);
    const { outcome, told } = await tryBug(bug, tree.directory, null);
    tree.take(bug);
    t.equal(outcome, 'found', `${name}: ${told}`);
  }
});

t.test('three defences that would be missed soon', async (t) => {
  const tree = Tree.copy();
  t.teardown(() => tree.remove());
  for (const name of ['archive-written-at-once', 'audit-row-without-its-past', 'compressed-frames']) {
    const bug = readBugs(['holes']).find((each) => each.name === name)!;
    tree.put(bug);
    const { outcome, told } = await tryBug(bug, tree.directory, null);
    tree.take(bug);
    t.equal(outcome, 'found', `${name}: ${told}`);
  }
});

t.test('how a means ended', async (t) => {
  const bug: Bug = {
    ...{ kind: 'bugs', name: 'a-bug', path: '', what: 'It breaks.', means: 'simulate' },
    ...{ argv: ['simulate', '--seed', '1'], invariant: 'I6', words: null },
  };
  const outcomeOf = async (script: string, of: Partial<Bug> = {}) => {
    const tree = t.testdir();
    mkdirSync(join(tree, 'scripts'));
    const first = of.means === 'test' ? '' : '#!/bin/sh\n';
    writeFileSync(join(tree, 'scripts/simulate'), `${first}${script}\n`);
    chmodSync(join(tree, 'scripts/simulate'), 0o755);
    return (await tryBug({ ...bug, ...of }, tree, null)).outcome;
  };
  t.equal(await outcomeOf('echo "VIOLATED I6: shown too early"; exit 1'), 'found');
  t.equal(
    await outcomeOf('echo "VIOLATED I6: shown too early"; exec sleep 600'),
    'found',
    'it is ended then',
  );
  t.equal(await outcomeOf('echo "VIOLATED I4: too few"; exit 1'), 'found otherwise');
  t.equal(await outcomeOf('echo "violated invariants: 0"'), 'not found');
  t.equal(await outcomeOf('echo "TypeError: I6" >&2; exit 1'), 'broken', 'a crash finds nothing');
  const words = { means: 'power-cuts', words: 'is lost' } as const;
  t.equal(await outcomeOf('echo "    build 1.0.0 is lost"; exit 1', words), 'found');
  t.equal(await outcomeOf('echo "    current is gone"; exit 1', words), 'found otherwise');
  const named: Partial<Bug> = { means: 'test', argv: ['test', 'scripts/simulate'], invariant: null };
  const red = (line: string) => `process.stdout.write(${JSON.stringify(`${line}\n`)}); process.exitCode = 1;`;
  const outcomeOfTest = (line: string) => outcomeOf(red(line), { ...named, words: 'who may' });
  t.equal(await outcomeOfTest('    not ok 2 - who may, and who may not'), 'found');
  t.equal(await outcomeOfTest('    not ok 2 - another one'), 'found otherwise');
  t.equal(await outcomeOfTest('SyntaxError: who may'), 'broken');
});
