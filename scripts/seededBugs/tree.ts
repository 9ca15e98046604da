/** A copy of this tree to put bugs into: its own sources, and the dependencies linked, which nobody writes to. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, lstatSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bug } from './patches.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export class Tree {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static copy(): Tree {
    const directory = mkdtempSync(join(tmpdir(), 'fleet-seeded-'));
    // Agents of booted hosts run from it, as users of their own.
    chmodSync(directory, 0o755);
    for (const path of sources()) cpSync(join(ROOT, path), join(directory, path));
    // The packages of this tree are links out of node_modules, relative ones: those of the copy lead into the copy.
    linked(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    if (existsSync(join(ROOT, '.toolchain')))
      symlinkSync(join(ROOT, '.toolchain'), join(directory, '.toolchain'));
    return new Tree(directory);
  }

  put(bug: Bug): void {
    apply(this.directory, bug);
  }

  take(bug: Bug): void {
    apply(this.directory, bug, '--reverse');
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Throws, with what git says, where the patch does not fit this tree any more. */
export function checkPatch(bug: Bug): void {
  apply(ROOT, bug, '--check');
}

/** As it lies there, whether committed or not: bugs are put into what is being worked on. */
function sources(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return [...new Set(listed.split('\0'))].filter(
    (path) => path !== '' && lstatSync(join(ROOT, path), { throwIfNoEntry: false })?.isFile(),
  );
}

function linked(from: string, to: string): void {
  try {
    execFileSync('cp', ['--archive', '--link', from, to], { stdio: 'pipe' });
  } catch {
    // Another file system.
    rmSync(to, { recursive: true, force: true });
    execFileSync('cp', ['--archive', from, to], { stdio: 'pipe' });
  }
}

function apply(cwd: string, { path }: Bug, ...options: string[]): void {
  // In a folder that is in no repository, or not at its top, git would pass by what it does not see there.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: join(cwd, '..') };
  execFileSync('git', ['apply', ...options, path], { cwd, env, stdio: 'pipe' });
}
