/**
 * Whom the repository's own commands run as. They are somebody else's code: where there is a user for them, it can read none of the
 * controller's files. Root becomes that user; a controller that is not root does by sudo, where `fleet controller install` has made
 * the rule for it.
 */
import { access, chmod, constants, mkdir, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { mayRunAs, needsSudo } from '@fleet/process/sudo.ts';
import { findSetpriv, findUser, type User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface BuildUser {
  user: User;
  /** Outside the controller's own folder, which this user cannot go through. */
  dir: string;
}

export interface Builds {
  /** Undefined where builds run as the controller's own user. */
  as: BuildUser | undefined;
  /** What holds, for people. */
  told: string;
}

/** Taken where there is a user of this name, and no other is configured. */
export const BUILD_USER = 'fleet-build';

/** Where the folders of builds lie: beside the controller's data. */
export const roomsOf = (data: string) => `${data}.builds`;

/** For root, `dir` is made where it is needed. Throws `bad_config`. */
export async function findBuildUser(configured: string | undefined, dir: string): Promise<Builds> {
  const own = userInfo();
  const wrong = (message: string, next: string) =>
    new FleetError('bad_config', `build_user: ${message}`, { next });
  if (configured === own.username) return asOneself();
  const user = await findUser(configured ?? BUILD_USER);
  if (user === undefined) {
    if (configured === undefined) return asOneself();
    throw wrong(`this machine has no user ${configured}`, `Make one: useradd --system ${configured}`);
  }
  if (needsSudo(user)) {
    const lack = await lackOf(user, dir);
    if (lack === undefined) return apart({ user, dir });
    if (configured === undefined) return asOneself(lack);
    throw wrong(lack, 'sudo fleet controller install, or take the line out of controller.yaml.');
  }
  if (findSetpriv() === undefined) throw wrong('this machine has no setpriv', 'Install util-linux.');
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o711);
  return apart({ user, dir });
}

/** What keeps this process from building as the user, without being root. */
async function lackOf(user: User, dir: string): Promise<string | undefined> {
  const own = userInfo().username;
  if (findSetpriv() === undefined) return 'this machine has no setpriv';
  if (!(await mayRunAs(user.name))) return `no rule of sudo lets ${own} run builds as ${user.name}`;
  const found = await stat(dir).catch(() => undefined);
  if (found?.uid !== user.uid) return `there is no folder ${dir} that is ${user.name}’s`;
  const open = await access(dir, constants.X_OK).then(
    () => true,
    () => false,
  );
  return open ? undefined : `${own} may not go through ${dir}`;
}

function apart(as: BuildUser): Builds {
  return { as, told: `as ${as.user.name}, who can read neither the controller’s keys nor its data` };
}

function asOneself(lack?: string): Builds {
  const why = lack === undefined ? '' : ` (${lack})`;
  return {
    as: undefined,
    told: `as ${userInfo().username}, the controller’s own user${why}: a build can read all that the controller can, its keys too`,
  };
}
