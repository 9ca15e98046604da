/** From a ref to a commit, and what a commit says of itself. */
import { hint } from '@fleet/config/names.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { refName } from '@fleet/protocol/words.ts';
import { git } from './git.ts';
import type { Mirror } from './mirror.ts';

const MOST_NOTES = 100;

export interface Resolved {
  /** 40 hex digits. */
  commit: string;
  kind: 'branch' | 'tag' | 'commit';
  /** Where the name is also something else. */
  note: string | undefined;
}

/**
 * A branch first, then a tag, then a commit: `main` is the branch whatever tags somebody pushes. `refs/tags/x` and
 * `refs/heads/x` say which. Throws FleetError `unknown_ref`.
 */
export async function resolveRef(mirror: Mirror, ref: string): Promise<Resolved> {
  if (!refName.safeParse(ref).success)
    throw new FleetError('unknown_ref', `${JSON.stringify(ref)} is not a name that a ref can have`, {
      next: 'Name a branch, a tag or a commit.',
    });
  const branch = await commitOf(mirror, ref.startsWith('refs/heads/') ? ref : `refs/heads/${ref}`);
  const tag = await commitOf(mirror, ref.startsWith('refs/tags/') ? ref : `refs/tags/${ref}`);
  if (branch !== undefined) {
    const note =
      tag === undefined || tag === branch
        ? undefined
        : `${ref} is a branch and a tag; the branch was taken, the tag is refs/tags/${ref}`;
    return { commit: branch, kind: 'branch', note };
  }
  if (tag !== undefined) return { commit: tag, kind: 'tag', note: undefined };
  const commit = /^[0-9a-f]{7,40}$/i.test(ref) ? await commitOf(mirror, ref) : undefined;
  if (commit !== undefined) return { commit, kind: 'commit', note: undefined };
  throw new FleetError(
    'unknown_ref',
    `the repository has no branch, tag or commit ${ref}${hint(ref, await namesIn(mirror))}`,
    {
      next: 'Push it to the repository, or name another: a branch, a tag, or at least 7 digits of a commit.',
    },
  );
}

/** Whether the mirror holds it already, so that nothing needs to be fetched. */
export async function hasCommit(mirror: Mirror, ref: string): Promise<boolean> {
  return /^[0-9a-f]{40}$/.test(ref) && (await commitOf(mirror, ref)) === ref;
}

async function commitOf(mirror: Mirror, name: string): Promise<string | undefined> {
  const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
  const found = await ask(mirror, args).catch((error: unknown) => {
    if (mirror.signal.aborted) throw error;
    return '';
  });
  return /^[0-9a-f]{40}$/.exec(found.trim())?.[0];
}

async function namesIn(mirror: Mirror): Promise<string[]> {
  const listed = await ask(mirror, [
    'for-each-ref',
    '--count=2000',
    '--sort=-creatordate',
    '--format=%(refname:lstrip=2)',
    'refs/heads',
    'refs/tags',
  ]);
  return listed.split('\n').filter((name) => name !== '');
}

/** Names of the tags that are exactly on a commit. */
export async function tagsOn(mirror: Mirror, commit: string): Promise<string[]> {
  const listed = await ask(mirror, [
    'for-each-ref',
    `--points-at=${commit}`,
    '--format=%(refname:lstrip=2)',
    'refs/tags',
  ]);
  return listed.split('\n').filter((name) => name !== '');
}

export async function committedAt(mirror: Mirror, commit: string): Promise<Date> {
  const seconds = await ask(mirror, ['log', '-1', '--format=%ct', '--end-of-options', commit]);
  return new Date(Number(seconds.trim()) * 1000);
}

/** Subjects of the commits after `since`, newest first; none where it is not known which those are. */
export async function subjectsSince(
  mirror: Mirror,
  since: string | undefined,
  commit: string,
): Promise<string[]> {
  if (since === undefined || !(await hasCommit(mirror, since))) return [];
  const log = await ask(mirror, [
    ...['log', `--max-count=${MOST_NOTES}`, '--format=%s'],
    ...['--end-of-options', `${since}..${commit}`],
  ]);
  return log
    .split('\n')
    .filter((subject) => subject !== '')
    .map((subject) => subject.replace(/[\u0000-\u001f\u007f]/g, ' ').slice(0, 200));
}

function ask(mirror: Mirror, args: readonly string[]): Promise<string> {
  return git(['--git-dir', mirror.dir, ...args], mirror);
}
