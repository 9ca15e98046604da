/** What of an installed controller is there already. Nothing is changed. */
import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUILD_USER, roomsOf } from '@fleet/artifact/build/buildUser.ts';
import { BUILD_SUDOERS } from '@fleet/units/buildSudoers.ts';
import { CONTROLLER_UNIT } from '@fleet/units/controllerUnit.ts';
import { loadConfig } from '../config/config.ts';
import { hasTrust } from '../trust/make.ts';
import { BACKUPS, COMMAND, DATA, PROGRAMS, UNIT_FILE, USER } from './places.ts';

export interface Facts {
  user: boolean;
  /** That the user is in. */
  groups: string[];
  /** Undefined where there is no controller.yaml. */
  config:
    | { data: string; listen: string; development: boolean; sockets: string[]; builder?: string | undefined }
    | undefined;
  keys: boolean;
  /** All below the data directory is the user's. */
  owned: boolean;
  backups: boolean;
  /** That builds run as, or will. */
  builder: boolean;
  /** The folder of builds, as `USER:GROUP MODE`. */
  rooms: string | undefined;
  /** What the controller may do by sudo. */
  rule: string | undefined;
  /** Groups of balancers' sockets that the user is not in. */
  socketGroups: string[];
  /** What `current` leads to; the release itself is whole where it is named like that. */
  current: string | undefined;
  releases: string[];
  command: string | undefined;
  unit: string | undefined;
  enabled: boolean;
  active: boolean;
}

/** Whom builds run as. */
export function builderOf(config: Facts['config']): string {
  return config?.builder ?? BUILD_USER;
}

/** What it printed, whatever it ended with. */
async function ask(program: string, ...argv: string[]): Promise<string> {
  const said = await promisify(execFile)(program, argv).catch((error: { stdout?: string }) => error);
  return (said.stdout ?? '').trim();
}

/** Throws `bad_config` for a controller.yaml that does not hold. */
export async function gather(file: string): Promise<Facts> {
  const loaded = existsSync(file) ? await loadConfig(file) : undefined;
  const config = loaded && {
    data: loaded.data,
    listen: loaded.listen,
    development: loaded.development,
    builder: loaded.build_user,
    sockets: Object.values(loaded.balancers).flatMap((each) =>
      each.kind === 'haproxy' && each.address.startsWith('/') ? [each.address] : [],
    ),
  };
  const data = config?.data ?? DATA;
  const user = (await ask('getent', 'passwd', USER)) !== '';
  const groups = user ? (await ask('id', '-nG', USER)).split(' ') : [];
  const unit = await readFile(UNIT_FILE, 'utf8').catch(() => undefined);
  return {
    ...{ user, groups, config, unit },
    keys: hasTrust(data),
    owned:
      user && existsSync(data) && (await ask('find', data, '!', '-user', USER, '-print', '-quit')) === '',
    backups: existsSync(BACKUPS),
    builder: (await ask('getent', 'passwd', builderOf(config))) !== '',
    rooms: (await ask('stat', '-c', '%U:%G %a', roomsOf(data))) || undefined,
    rule: await readFile(BUILD_SUDOERS, 'utf8').catch(() => undefined),
    socketGroups: await groupsOf(config?.sockets ?? [], groups),
    current: await readlink(join(PROGRAMS, 'current')).catch(() => undefined),
    releases: (await ask('ls', '-tr', PROGRAMS))
      .split('\n')
      .filter((name) => name !== '' && name !== 'current'),
    command: await readlink(COMMAND).catch(() => (existsSync(COMMAND) ? 'a program of its own' : undefined)),
    enabled: (await ask('systemctl', 'is-enabled', CONTROLLER_UNIT)) === 'enabled',
    active: (await ask('systemctl', 'is-active', CONTROLLER_UNIT)) === 'active',
  };
}

async function groupsOf(sockets: readonly string[], has: readonly string[]): Promise<string[]> {
  const names: string[] = [];
  for (const socket of sockets) {
    const found = statSync(socket, { throwIfNoEntry: false });
    // Root's own group is nobody's to join.
    if (found === undefined || found.gid === 0 || (found.mode & 0o006) === 0o006) continue;
    const name = (await ask('getent', 'group', String(found.gid))).split(':')[0];
    if (name && !has.includes(name) && !names.includes(name)) names.push(name);
  }
  return names;
}
