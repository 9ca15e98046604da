/** How long the command line takes to say anything, beside an empty Node program. */
import { spawnSync } from 'node:child_process';
import { FLEET } from '../local/program.ts';
import { ratios, type Section } from './figures.ts';

const RUNS = 15;

export function measureStarting(): Section {
  // Once before it counts: the compile cache is warm, as it is from a user's second command on.
  timed(FLEET, '--help');
  const [help, empty]: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    help.push(timed(FLEET, '--help'));
    empty.push(timed('-e', '0'));
  }
  return {
    title: 'The command line',
    figures: [
      { what: 'fleet --help', unit: 'ms', values: help },
      { what: 'node -e 0', unit: 'ms', values: empty },
      { what: 'fleet --help / node -e 0', unit: 'times', values: ratios(help, empty), goal: 2 },
    ],
    notes: [],
  };
}

function timed(...argv: string[]): number {
  const from = performance.now();
  const { status } = spawnSync(process.execPath, argv, { stdio: 'ignore' });
  if (status !== 0) throw new Error(`node ${argv.join(' ')} ended with ${status}`);
  return performance.now() - from;
}
