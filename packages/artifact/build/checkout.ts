/** A clean work tree: exactly what a commit holds, with no .git beside it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from './git.ts';
import type { Mirror } from './mirror.ts';

/** `into` and `index` must not exist. Answers what the tree lacks although the repository names it. */
export async function checkOut(
  mirror: Mirror,
  commit: string,
  into: string,
  index: string,
): Promise<string[]> {
  await mkdir(into);
  const options = { signal: mirror.signal, cwd: into, env: { GIT_INDEX_FILE: index } };
  const tree = ['--git-dir', mirror.dir, '--work-tree', into];
  await git([...tree, 'read-tree', '--end-of-options', commit], options);
  await git([...tree, 'checkout-index', '--all', '--quiet'], options);
  const notes: string[] = [];
  if ((await textOf(join(into, '.gitmodules'))) !== '')
    notes.push('the repository has submodules, which are not fetched: their folders are empty');
  if (/filter=lfs/.test(await textOf(join(into, '.gitattributes'))))
    notes.push('the repository uses Git LFS, which is not fetched: such files are pointers');
  return notes;
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
