/** One bug, and the means that has to find it. */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Bug, Means } from './patches.ts';

export interface Trial {
  bug: Bug;
  outcome: 'found' | 'found otherwise' | 'not found' | 'skipped' | 'broken';
  /** The line that told it, or the last one. */
  told: string;
  seconds: number;
}

/** Beyond these, nothing is found any more. */
const LONGEST_MS: Record<Means, number> = {
  simulate: 10 * 60_000,
  chaos: 20 * 60_000,
  'crash-points': 10 * 60_000,
  'power-cuts': 15 * 60_000,
  'syscall-sweep': 10 * 60_000,
  test: 5 * 60_000,
};
/** A test that waits for longer than this waits for what does not come any more. */
const HANGS_MS = 150_000;
/** A means that was asked to end takes down what it has built up. */
const CLEARING_MS = 60_000;

/** How the means say that something is violated; the first group is the invariant, where they name it. */
const COMPLAINTS: Record<Means, RegExp> = {
  simulate: /^VIOLATED (I\d+):/,
  chaos: /^(I\d+): /,
  'crash-points': /^ {4,}\S/,
  'power-cuts': /^ {4}\S/,
  'syscall-sweep': /^(OUT OF ORDER| {3}) {1,2}\S/,
  test: /^ *not ok /,
};

/** Runs the bug's means in the tree that has it, and ends it as soon as the bug is found. `log`: a file for what it prints. */
export async function tryBug(bug: Bug, tree: string, log: string | null): Promise<Trial> {
  const began = performance.now();
  const [command = '', ...argv] = bug.argv;
  const isTest = bug.means === 'test';
  const child = spawn(isTest ? process.execPath : join(tree, 'scripts', command), argv, {
    cwd: tree,
    env: { ...process.env, TAP_TIMEOUT: String(HANGS_MS / 1000) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
  let outcome: Trial['outcome'] = 'not found';
  let told = '';
  let seconds = 0;
  const judge = (line: string) => {
    if (log !== null) appendFileSync(log, `${line}\n`);
    if (outcome === 'found') return;
    const complaint = COMPLAINTS[bug.means].exec(line);
    const isIt =
      complaint && (bug.words === null ? complaint[1] === bug.invariant : line.includes(bug.words));
    if (complaint || outcome === 'not found') told = line;
    if (/^SKIPPED|^Skipped/.test(line)) outcome = 'skipped';
    if (complaint) outcome = isIt ? 'found' : 'found otherwise';
    if (!isIt) return;
    seconds = (performance.now() - began) / 1000;
    // A test takes down what it has started only at its own end.
    if (!isTest) end(child.pid, 'SIGTERM');
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', judge);
  let isLate = false;
  const late = setTimeout(() => {
    isLate = true;
    end(child.pid, 'SIGTERM');
  }, LONGEST_MS[bug.means]);
  const tooLate = setTimeout(() => end(child.pid, 'SIGKILL'), LONGEST_MS[bug.means] + CLEARING_MS);
  const code = await ended;
  clearTimeout(late);
  clearTimeout(tooLate);
  // A means that fails without a complaint has found nothing: it is broken itself.
  if (outcome === 'not found' && code !== 0 && !isLate) outcome = 'broken';
  return { bug, outcome, told: told.trim(), seconds: seconds || (performance.now() - began) / 1000 };
}

/** The means and what it has started. */
function end(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(signal === 'SIGKILL' ? -pid : pid, signal);
  } catch {
    // It has ended.
  }
}
