/** What was written survives a power cut. */
import { spawn } from 'node:child_process';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from '@fleet/protocol/manifest.ts';

/**
 * One syncfs for the whole file system, through coreutils: for thousands of small files it is many times faster than an fsync of
 * each, and Linux reports errors of write-back by it. Where there is no `sync` program, an fsync of each.
 */
export async function syncTree(dir: string, files: readonly Entry[]): Promise<void> {
  const ended = await run('sync', ['-f', '--', dir]);
  if (ended === 'missing') return syncEach(dir, files);
  if (ended !== '') throw new Error(`sync -f ${dir}: ${ended}`);
}

/** Resolves with '' where the program ended well, 'missing' where there is none, and else with what it complained of. */
function run(program: string, argv: string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('error', () => {});
    child.stderr.on('data', (text: Buffer) => {
      complaint = (complaint + text.toString()).slice(0, 500);
    });
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ENOENT' ? 'missing' : error.message),
    );
    child.once('close', (code, signal) =>
      resolve(code === 0 ? '' : `${complaint.trim()} (exit status ${code ?? signal})`),
    );
  });
}

/** Directories after what is in them. */
export function syncEach(dir: string, files: readonly Entry[]): void {
  for (const entry of files.toReversed()) if (entry.type !== 'link') syncOne(join(dir, entry.path));
  syncOne(dir);
}

function syncOne(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
