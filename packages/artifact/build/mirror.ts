/** A bare copy of a service's repository, kept between builds so that each fetches only what is new. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describe, ok, run } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { git, gitArguments, gitEnvironment, noGit } from './git.ts';

const FETCH_MS = 10 * 60_000;
/** What a copy that was torn by a crash says. It is only a cache: it is made anew. */
const TORN = /\.lock'|not a git repository|bad object|corrupt|missing blob|unable to read/i;

export interface Mirror {
  /** The bare repository. */
  dir: string;
  url: string;
  signal: AbortSignal;
}

/** Throws FleetError `source_failed`, `aborted`. */
export async function updateMirror(mirror: Mirror): Promise<void> {
  if (mirror.url.startsWith('-'))
    throw new FleetError('source_failed', `${mirror.url} looks like an option, not like a repository`);
  const exists = await stat(mirror.dir).then(
    () => true,
    () => false,
  );
  if (exists) {
    const complaint = await fetchInto(mirror.dir, mirror);
    if (complaint === undefined) return;
    if (!TORN.test(complaint)) throw unreadable(mirror.url, complaint);
  }
  // Made beside its place and moved there whole, so that a mirror that exists is one that was fetched.
  const fresh = `${mirror.dir}.${randomUUID()}`;
  try {
    await mkdir(dirname(mirror.dir), { recursive: true });
    await git(['init', '--quiet', '--bare', '--template=', fresh], mirror);
    const complaint = await fetchInto(fresh, mirror);
    if (complaint !== undefined) throw unreadable(mirror.url, complaint);
    await rm(mirror.dir, { recursive: true, force: true });
    await rename(fresh, mirror.dir);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Undefined where it went well, else what git said. */
async function fetchInto(dir: string, { url, signal }: Mirror): Promise<string | undefined> {
  const argv = [
    'git',
    ...gitArguments(['--git-dir', dir, 'fetch', '--quiet', '--force', '--prune', '--no-tags']),
    ...['--no-recurse-submodules', '--no-write-fetch-head', '--end-of-options', url],
    ...['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'],
  ];
  const ended = await run({ argv, cwd: dir, env: gitEnvironment(), timeoutMs: FETCH_MS, signal });
  if (ok(ended)) return undefined;
  if (ended.reason === 'cancelled') throw new FleetError('aborted', 'the build was aborted');
  if (ended.reason === 'not_started') throw noGit();
  return ended.reason === 'timeout' ? describe(ended, ['git', 'fetch', url]) : ended.output.text.trim();
}

function unreadable(url: string, complaint: string): FleetError {
  return new FleetError(
    'source_failed',
    `the repository ${withoutPassword(url)} cannot be read: ${complaint}`,
    {
      next: 'Try `git ls-remote` with it as the user that the controller runs as.',
      data: { output: complaint },
    },
  );
}

function withoutPassword(url: string): string {
  return url.replace(/^([a-z+]+:\/\/[^/@:]*):[^/@]*@/i, '$1:***@');
}
