/** A service's source, found: what it is, when it is from, and how to get it into a folder. */
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Source } from '@fleet/config/controller.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { checkOut } from './checkout.ts';
import { copyFolder } from './folder.ts';
import { type Mirror, updateMirror } from './mirror.ts';
import { committedAt, hasCommit, resolveRef, subjectsSince, tagsOn } from './refs.ts';
import type { BuildRequest, Job } from './request.ts';
import { versionOfTags } from './version.ts';

export interface FoundSource {
  described: Manifest['source'];
  /** The same content, the same text: a commit, or a digest over the files. */
  content: string;
  /** The folder in it that holds fleet.yaml. */
  folder: string;
  /** When the content was made. */
  at: Date;
  /** What the commit's tags call it. */
  tagged: string | undefined;
  /** fleet.yaml's name for people. */
  fileName: string;
  notes: string[];
  /** A clean tree in the job's folder, and in it the folder with fleet.yaml. */
  tree(): Promise<string>;
}

/** Throws FleetError `unknown_ref`, `source_failed`, `bad_request`, `aborted`. */
export async function findSource(request: BuildRequest, job: Job): Promise<FoundSource> {
  const { source } = request;
  return 'git' in source ? findCommit(request, source, job) : findFolder(request, source.directory, job);
}

type GitSource = Extract<Source, { git: string }>;

async function findCommit(request: BuildRequest, source: GitSource, job: Job): Promise<FoundSource> {
  const { service, dirs, note, signal } = request;
  const ref = request.ref ?? source.ref;
  const mirror: Mirror = { dir: join(dirs.git, `${service}.git`), url: source.git, signal };
  if (!(await hasCommit(mirror, ref))) {
    note(`fetching ${service}`);
    await updateMirror(mirror);
  }
  const { commit, kind, note: twofold } = await resolveRef(mirror, ref);
  if (twofold !== undefined) note(twofold);
  note(`${kind} ${ref} is ${commit.slice(0, 12)}`);
  const folder = source.directory ?? '.';
  return {
    described: { kind: 'git', ref, commit },
    content: commit,
    folder,
    at: await committedAt(mirror, commit),
    tagged: versionOfTags(await tagsOn(mirror, commit), ref),
    fileName: `${service}@${commit.slice(0, 7)}:${join(folder, 'fleet.yaml')}`,
    notes: await subjectsSince(mirror, request.since, commit),
    async tree() {
      const checkout = join(job.room.own, 'tree');
      for (const lack of await checkOut(mirror, commit, checkout, join(job.dir, 'index'))) note(lack);
      return folderIn(checkout, folder, `commit ${commit.slice(0, 12)}`);
    },
  };
}

async function findFolder(request: BuildRequest, directory: string, job: Job): Promise<FoundSource> {
  const { service, ref, dirs, note, signal } = request;
  if (ref !== undefined)
    throw new FleetError(
      'bad_request',
      `${service} is built from a folder, which has no refs such as ${ref}`,
      {
        next: 'Leave the ref out, or give the service a git repository in controller.yaml.',
      },
    );
  const tree = join(job.room.own, 'tree');
  const { digest, changedAt, notes } = await copyFolder(directory, tree, Object.values(dirs), signal);
  for (const text of notes) note(text);
  return {
    described: { kind: 'directory', ref: directory },
    content: digest,
    folder: '.',
    at: changedAt,
    tagged: undefined,
    fileName: join(directory, 'fleet.yaml'),
    notes: [],
    tree: async () => tree,
  };
}

/** A folder of the checkout that really lies in it, whatever links the repository has. */
async function folderIn(checkout: string, folder: string, where: string): Promise<string> {
  const root = await realpath(checkout);
  const found = await realpath(join(checkout, folder)).catch(() => undefined);
  if (found === root || found?.startsWith(root + sep)) return found;
  throw new FleetError('bad_config', `${where} has no folder ${folder}`, {
    next: 'Correct `directory` of the service’s source in controller.yaml.',
  });
}
