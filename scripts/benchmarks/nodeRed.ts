/** A real application's tree, from npm, kept for the next run. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const NODE_RED = '4.0.9';
const KEPT = join(import.meta.dirname, '../../.scratch', `node-red-${NODE_RED}`);

/** The folder, or null where npm cannot fetch it. */
export function nodeRedTree(): string | null {
  if (existsSync(KEPT)) return KEPT;
  const unfinished = `${KEPT}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  const { status } = spawnSync(
    'npm',
    [
      ...[
        'install',
        '--prefix',
        unfinished,
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--loglevel=error',
      ],
      `node-red@${NODE_RED}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'], timeout: 180_000 },
  );
  if (status === 0) renameSync(unfinished, KEPT);
  else rmSync(unfinished, { recursive: true, force: true });
  return status === 0 ? KEPT : null;
}
