/** The checker is a program of its own: it sees the record, and nothing of what made it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

export interface Verdict {
  clean: boolean;
  text: string;
}

const CHECKER = join(import.meta.dirname, 'checker', 'check.ts');

export function judge(dir: string): Verdict {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CHECKER, dir], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return { clean: status === 0, text: `${stdout}${stderr}`.trim() };
}
