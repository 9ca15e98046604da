/** The sample service's repository, with three versions of it: the third one is broken. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SAMPLE = new URL('../segmenter', import.meta.url).pathname;

export function makeRepository(dir: string): void {
  cpSync(SAMPLE, dir, { recursive: true });
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: dir,
      stdio: 'ignore',
    });
  git('init', '--initial-branch', 'main');
  const release = (version: string, subject: string) => {
    edit(join(dir, 'package.json'), /"version": ".*"/, `"version": "${version}"`);
    git('add', '.');
    git('commit', '-m', subject);
    git('tag', `v${version}`);
  };
  release('1.0.0', 'Count visitors');
  edit(join(dir, 'server.js'), 'count(*) as visitors', 'count(*) as visitors, max(seen) as newest');
  release('1.1.0', 'Tell when the newest visitor was seen');
  git('switch', '--create', 'broken');
  edit(join(dir, 'server.js'), 'from visitors', 'from visitor');
  release('1.2.0', 'Rename a table in one place only');
  git('switch', 'main');
}

function edit(file: string, from: string | RegExp, to: string): void {
  const text = readFileSync(file, 'utf8');
  const edited = text.replace(from, to);
  if (edited === text) throw new Error(`${file} has nothing like ${String(from)}`);
  writeFileSync(file, edited);
}
