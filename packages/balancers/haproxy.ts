/** HAProxy 2.4 and later, over its runtime socket. Nothing is written to its configuration: a reload forgets what was told. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AdminState, Balancer, ServerState } from './balancer.ts';
import { askHaproxy } from './haproxy/socket.ts';
import { parseServersState, parseStat, serverState } from './haproxy/tables.ts';

export interface HaproxyConfig {
  kind: 'haproxy';
  /** The runtime socket: a path, or HOST:PORT. */
  address: string;
  /** Milliseconds for one answer. */
  timeout: number;
}

export function createHaproxy({ address, timeout }: HaproxyConfig): Balancer {
  const ask = (command: string) => askHaproxy(address, command, timeout);

  async function servers(backend: string): Promise<ServerState[]> {
    checkName(backend, 'backend', address);
    const answer = await ask(`show servers state ${backend}`);
    if (/^Can't find backend/.test(answer)) throw await unknownBackend(backend);
    if (!/^1\n# be_id /.test(answer)) throw refused('show servers state', answer);
    const states = parseServersState(answer);
    if (states.length === 0) return [];
    // By number: a frontend may bear the backend's name, and `show stat` would take the first of the two.
    const table = await ask(`show stat ${states[0]!.be_id} 4 -1`);
    if (!table.startsWith('# pxname,')) throw refused('show stat', table);
    const stats = new Map(parseStat(table).map((row) => [row.svname, row]));
    return states.map((state) => {
      const stat = stats.get(state.srv_name);
      if (stat === undefined) throw refused('show stat', `nothing about ${backend}/${state.srv_name}`);
      return serverState(state, stat);
    });
  }

  async function set(backend: string, server: string, admin: AdminState): Promise<void> {
    checkName(backend, 'backend', address);
    checkName(server, 'server', address);
    const command = `set server ${backend}/${server} state ${admin}`;
    const answer = (await ask(command)).trim();
    if (answer === '') return;
    if (/^No such backend/.test(answer)) throw await unknownBackend(backend);
    if (/^No such server/.test(answer)) throw await unknownServer(backend, server);
    throw refused(command, answer);
  }

  async function unknownBackend(backend: string): Promise<FleetError> {
    const [, ...known] = (await ask('show backend')).trim().split('\n');
    return unknown(`HAProxy at ${address} has no backend ${backend}`, known);
  }
  async function unknownServer(backend: string, server: string): Promise<FleetError> {
    const known = (await servers(backend)).map((state) => state.name);
    return unknown(`HAProxy at ${address} has no server ${server} in backend ${backend}`, known);
  }

  return { servers, set, close: async () => {} };
}

/** HAProxy's own grammar of names. Nothing else goes into a command line, where `;` or a newline would begin another command. */
const NAME = /^[A-Za-z0-9_.:-]{1,200}$/;

function checkName(name: string, what: 'backend' | 'server', address: string): void {
  if (NAME.test(name)) return;
  throw new FleetError(
    'balancer_unknown',
    `HAProxy at ${address} cannot have a ${what} named ${JSON.stringify(name)}`,
    {
      next: `Correct the ${what} under \`balancer\` in controller.yaml: HAProxy’s names are letters, digits and _ . : -`,
    },
  );
}

function unknown(message: string, known: string[]): FleetError {
  return new FleetError('balancer_unknown', `${message}; it knows ${known.join(', ') || 'none'}`, {
    next: 'Correct `backend` or `server` under `balancer` in controller.yaml, or HAProxy’s own configuration.',
    data: { known },
  });
}

function refused(command: string, answer: string): FleetError {
  const said = answer.trim().split('\n')[0]!.slice(0, 200);
  const next = /^Permission denied/.test(said)
    ? 'Give the socket `level admin` on its `stats socket` line, and reload HAProxy.'
    : 'Try the same command by hand: echo "COMMAND" | socat stdio SOCKET';
  return new FleetError('balancer_refused', `HAProxy answered "${said}" to "${command}"`, { next });
}
