/**
 * Whom the repository's own commands run as. They are somebody else's code: where the controller is root they run as a user who can
 * read none of its files, in folders that are theirs only while they run.
 */
import { execFile } from 'node:child_process';
import { chmod, lchown, mkdir, mkdtemp, realpath } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { findSetpriv, findUser, type User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface BuildUser {
  user: User;
  /** Outside the controller's own folder, which this user cannot go through. */
  dir: string;
}

/** Taken where there is a user of this name, and no other is configured. */
const DEFAULT = 'fleet-build';

/** Undefined where builds run as the controller's own user. `dir` is made where it is needed. Throws `bad_config`. */
export async function findBuildUser(
  configured: string | undefined,
  dir: string,
): Promise<BuildUser | undefined> {
  const own = userInfo();
  if (configured === own.username) return undefined;
  const wrong = (message: string, next: string) =>
    new FleetError('bad_config', `build_user: ${message}`, { next });
  if (own.uid !== 0) {
    if (configured === undefined) return undefined;
    throw wrong(
      `only root can build as ${configured}, and the controller runs as ${own.username}`,
      'Start the controller as root, or take the line out of controller.yaml.',
    );
  }
  const user = await findUser(configured ?? DEFAULT);
  if (user === undefined) {
    if (configured === undefined) return undefined;
    throw wrong(`this machine has no user ${configured}`, `Make one: useradd --system ${configured}`);
  }
  if (findSetpriv() === undefined) throw wrong('this machine has no setpriv', 'Install util-linux.');
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o711);
  return { user, dir };
}

/** What holds, for people. */
export function describeBuildUser(as: BuildUser | undefined): string {
  return as === undefined
    ? `as ${userInfo().username}, the controller’s own user: a build can read all that the controller can, its keys too`
    : `as ${as.user.name}, who can read neither the controller’s keys nor its data`;
}

/** A new folder that the user can go through, and only root can change. */
export async function makeRoom({ dir }: BuildUser, service: string): Promise<string> {
  const room = await realpath(await mkdtemp(join(dir, `${service}-`)));
  await chmod(room, 0o711);
  return room;
}

/** To be called while only root can change what is in it. Links themselves change hands, not what they lead to. */
export async function give({ user }: BuildUser, tree: string): Promise<void> {
  await changeOwner([`${user.uid}:${user.gid}`], tree);
}

/** What the user's commands have made is the controller's own again, before anything in it is read. Only what is the user's changes hands. */
export async function takeBack({ user }: BuildUser, tree: string): Promise<void> {
  const { uid, gid } = userInfo();
  await lchown(tree, uid, gid);
  await chmod(tree, 0o700);
  await changeOwner([`--from=${user.uid}`, `${uid}:${gid}`], tree);
  await run('chmod', ['-R', 'go-w', '--', tree]);
}

async function changeOwner(how: string[], tree: string): Promise<void> {
  await run('chown', ['-R', '-P', '-h', ...how.slice(0, -1), '--', how.at(-1)!, tree]);
}

async function run(program: string, argv: string[]): Promise<void> {
  await promisify(execFile)(program, argv, { env: cleanEnvironment() });
}
