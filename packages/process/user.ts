/** Running something as another user of this machine: root can, and who is not root by sudo. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';
import { needsSudo, sudoPrefix } from './sudo.ts';

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** Asked of the machine each time, so that a user that was made a moment ago is known. Undefined where there is none of that name. */
export async function findUser(name: string): Promise<User | undefined> {
  let line: string;
  try {
    const { stdout } = await promisify(execFile)('getent', ['passwd', '--', name], {
      env: cleanEnvironment(),
    });
    line = stdout;
  } catch {
    return undefined;
  }
  const [found, , uid, gid, , home = '/'] = line.trimEnd().split('\n')[0]!.split(':');
  // A number is taken for a uid by getent: only a name says which user is meant.
  if (found !== name) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** What sudo puts into an environment of its own accord. */
const SUDOS = ['SUDO_COMMAND', 'SUDO_USER', 'SUDO_UID', 'SUDO_GID', 'SUDO_HOME', 'TERM', 'SHELL', 'MAIL'];

/** Of util-linux. By its path, because it is run as root with the environment of somebody else's program. */
const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/sbin/setpriv'];
const ENV = '/usr/bin/env';

export function findSetpriv(): string | undefined {
  return SETPRIV.find((path) => existsSync(path));
}

/** What the C library and its loader read before a program's first line. Kept from setpriv, which is still root then. */
const LOADER =
  /^(LD_|DYLD_|MALLOC_)|^(GLIBC_TUNABLES|GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS|TMPDIR|TZDIR)$/;

/** What a shell has for itself and does not hand on as it was given: services of systemd are started by one. */
const SHELL = /^(UID|EUID|PPID|OPTIND|SHELLOPTS|BASHOPTS|BASH_VERSINFO|_)$|^fleet_/;

/** Whether a variable of this name gets to a program of another user by an argv, which everybody on the machine can read. */
export const goesByArgv = (variable: string) => LOADER.test(variable) || SHELL.test(variable);

export interface Launch {
  /** Before program and arguments. */
  prefix: string[];
  environment: Record<string, string>;
}

/**
 * How a program is started as `user`: with its groups, and never able to get other rights than its own. The process that
 * is started becomes the program, so its number is the program's. Throws where there is no setpriv, or no sudo where one is needed.
 */
export function launchAs(user: User, environment: Readonly<Record<string, string>>): Launch {
  const setpriv = findSetpriv();
  if (setpriv === undefined) throw new Error(`there is no setpriv to run a program as ${user.name} by`);
  const entries = Object.entries(environment);
  const loaders = entries.filter(([name]) => goesByArgv(name)).map(([name, value]) => `${name}=${value}`);
  return {
    prefix: [
      ...(needsSudo(user) ? becomingBySudo(user, environment) : []),
      setpriv,
      ...(needsSudo(user) ? [] : becoming(user)),
      ...['--no-new-privs', '--'],
      ...(loaders.length > 0 ? [ENV, ...loaders] : []),
    ],
    environment: Object.fromEntries(entries.filter(([name]) => !goesByArgv(name))),
  };
}

function becoming({ uid, gid }: User): string[] {
  return ['--reuid', String(uid), '--regid', String(gid), '--init-groups'];
}

function becomingBySudo({ name }: User, environment: Readonly<Record<string, string>>): string[] {
  const added = SUDOS.filter((variable) => !Object.hasOwn(environment, variable));
  return [...sudoPrefix(name, { environment: true }), ENV, ...added.flatMap((variable) => ['-u', variable])];
}

/** Who this user is, for programs. */
export function userEnvironment({ name, home }: User): Record<string, string> {
  return { HOME: home, USER: name, LOGNAME: name };
}

/** Made for unpacking, if somebody did; else the one that every machine has. */
const UNPRIVILEGED = ['fleet-unpack', 'nobody'];
const NOBODY = 65534;

/** As whom work is done that needs no rights at all. Undefined where this process is not root, and can only be itself. */
export async function findUnprivileged(): Promise<Pick<User, 'uid' | 'gid'> | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of UNPRIVILEGED) {
    const user = await findUser(name);
    if (user !== undefined && user.uid !== 0) return { uid: user.uid, gid: user.gid };
  }
  return { uid: NOBODY, gid: NOBODY };
}
