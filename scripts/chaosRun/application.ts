/** The service that a run deploys: its repository, with a tag for each version. */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../machines/commands.ts';
import type { Random } from '../random/random.ts';

export const SERVICE = 'chaos';
/** As fleet.yaml has them: what may run again after an interruption. */
export const REPEATABLE = ['before_stop', 'before_start', 'announce'];
/** More good versions than a host keeps, so that most deployments have something to send. */
export const VERSIONS = [
  ...Array.from({ length: 8 }, (_, at) => ({ version: `1.${at}.0`, broken: false })),
  { version: '2.0.0', broken: true },
  { version: '2.1.0', broken: true },
];
/** So much that a transfer lasts, and a cut can fall into it. It does not compress. */
const BALLAST_BYTES = 1024 * 1024;

export function makeRepository(dir: string, random: Random): void {
  cpSync(join(import.meta.dirname, 'application'), dir, { recursive: true });
  const git = (...argv: string[]) =>
    command('git', '-C', dir, '-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv);
  git('init', '--quiet', '--initial-branch', 'main');
  for (const { version, broken } of VERSIONS) {
    const ballast = Uint32Array.from({ length: BALLAST_BYTES / 4 }, () => random.next() * 2 ** 32);
    writeFileSync(join(dir, 'ballast'), ballast);
    if (broken) writeFileSync(join(dir, 'broken'), '');
    else rmSync(join(dir, 'broken'), { force: true });
    git('add', '--all');
    git('commit', '--quiet', '-m', `Version ${version}`);
    git('tag', `v${version}`);
  }
}
