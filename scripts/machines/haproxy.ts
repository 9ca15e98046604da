/** The balancer of a real fleet: its configuration, and where to ask it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askForServers } from './servers.ts';

export const BACKEND = 'segmenter';
export const adminSocket = (dir: string) => join(dir, 'admin.sock');
export const usersSocket = (dir: string) => join(dir, 'users.sock');

/** Gives the file. Nothing hides a fault: no request is tried again or sent elsewhere. */
export function writeHaproxy(dir: string, servers: ReadonlyArray<{ name: string; address: string }>): string {
  const lines = [
    'global',
    `  stats socket ${adminSocket(dir)} mode 600 level admin`,
    'defaults',
    '  mode http',
    '  timeout connect 5s',
    '  timeout client 30s',
    '  timeout server 10s',
    '  timeout check 3s',
    '  retries 0',
    '  default-server check inter 500ms fastinter 100ms downinter 200ms fall 3 rise 1',
    'frontend users',
    `  bind unix@${usersSocket(dir)}`,
    `  default_backend ${BACKEND}`,
    `backend ${BACKEND}`,
    '  balance roundrobin',
    '  option httpchk GET /health',
    ...servers.map(({ name, address }) => `  server ${name} ${address}`),
  ];
  const file = join(dir, 'haproxy.cfg');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** Rejects where HAProxy does not answer. */
export const lookAtServers = (dir: string) => askForServers(adminSocket(dir), BACKEND);
