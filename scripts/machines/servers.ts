/** What HAProxy says of its servers, asked past the controller: by a runtime socket, in code of its own. */
import { connect } from 'node:net';

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
export async function askForServers(path: string, backend: string): Promise<Server[]> {
  const answer = await ask(path, `show servers state ${backend}`);
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
