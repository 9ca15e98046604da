/** The balancer of a run: its configuration, and where to ask it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askForServers } from '../machines/servers.ts';

/**
 * Nothing hides a fault: no request is tried again or sent elsewhere. Checks are patient, because a busy machine is not a
 * broken host, and quick only while a server changes its state.
 */
export function writeConfiguration(
  dir: string,
  servers: ReadonlyArray<{ name: string; address: string }>,
): string {
  const lines = [
    'global',
    `  stats socket ${adminSocket(dir)} mode 600 level admin`,
    `  stats socket ${lookSocket(dir)} mode 600 level user`,
    '  log stdout format raw daemon notice',
    'defaults',
    '  mode http',
    '  log global',
    '  timeout connect 5s',
    '  timeout client 30s',
    '  timeout server 8s',
    '  timeout check 3s',
    '  retries 0',
    '  default-server check inter 500ms fastinter 100ms downinter 200ms fall 3 rise 1',
    'frontend users',
    `  bind unix@${usersSocket(dir)}`,
    `  default_backend ${BACKEND}`,
    `backend ${BACKEND}`,
    '  option httpchk GET /',
    ...servers.map(({ name, address }) => `  server ${name} ${address}`),
  ];
  const file = join(dir, 'haproxy.cfg');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

export const BACKEND = 'chaos';
/** The controller's runtime socket, which the nemesis takes away at times. */
export const adminSocket = (dir: string) => join(dir, 'admin.sock');
export const lookSocket = (dir: string) => join(dir, 'look.sock');
export const usersSocket = (dir: string) => join(dir, 'users.sock');

/** Rejects where HAProxy does not answer. */
export const lookAtServers = (dir: string) => askForServers(lookSocket(dir), BACKEND);
