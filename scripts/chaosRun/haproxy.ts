/** The balancer of a run: its configuration, and a way to ask it that is not the controller's. */
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

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

export interface Server {
  name: string;
  admin: 'ready' | 'drain' | 'maint';
  up: boolean;
}

const MAINTENANCE = 0x01;
const DRAIN = 0x08;
const RUNNING = '2';
const ANSWER_MS = 2000;

/** Rejects where HAProxy does not answer. */
export async function lookAtServers(dir: string): Promise<Server[]> {
  const answer = await ask(lookSocket(dir), `show servers state ${BACKEND}`);
  const [, header = '', ...lines] = answer.split('\n');
  const names = header.replace(/^# /, '').split(' ');
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const cells = line.split(' ');
      const cell = (name: string) => cells[names.indexOf(name)] ?? '';
      const flags = Number(cell('srv_admin_state'));
      return {
        name: cell('srv_name'),
        admin: flags & MAINTENANCE ? 'maint' : flags & DRAIN ? 'drain' : 'ready',
        up: cell('srv_op_state') === RUNNING,
      };
    });
}

function ask(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(path, () => socket.write(`${question}\n`));
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('HAProxy does not answer')));
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
