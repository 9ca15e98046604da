/**
 * HAProxy 2.4 and later, over its runtime socket; since 2.5 it takes in servers while it runs. Nothing is written to its
 * configuration: a reload forgets what was told, and who was taken in.
 */
import { isIP } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AdminState, Balancer, NewServer, ServerState } from './balancer.ts';
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

  async function add(backend: string, server: NewServer): Promise<void> {
    const { name, address: at, options } = server;
    if ((await servers(backend)).some((each) => each.name === name)) return;
    checkName(name, 'server', address);
    // It would look up no name: the server would stay without an address, and in maintenance.
    if (!isAddress(at)) throw cannotAdd(backend, server, `${at} is no IP address with a port`);
    if (!OPTIONS.test(options))
      throw cannotAdd(backend, server, `its options are ${JSON.stringify(options)}`);
    const answer = (await ask(`add server ${backend}/${name} ${at} ${options}`.trim())).trim();
    if (/^Permission denied/.test(answer)) throw refused('add server', answer);
    if (answer !== 'New server registered.') throw cannotAdd(backend, server, firstLine(answer));
    // Its checks rest until they are asked for. Where it has none, HAProxy says so, and it counts as up.
    await ask(`enable health ${backend}/${name}`);
  }

  async function remove(backend: string, server: string): Promise<void> {
    if (!(await servers(backend)).some((each) => each.name === server)) return;
    for (let left = REMOVE_TRIES; ; left--) {
      const answer = (await ask(`del server ${backend}/${server}`)).trim();
      if (answer === 'Server deleted.' || /^No such server/.test(answer)) return;
      if (/^Permission denied/.test(answer)) throw refused('del server', answer);
      // Connections that are kept for later are closed soon after it is in maintenance.
      if (left > 0 && /connection/.test(answer)) await pause(REMOVE_PAUSE_MS);
      else
        throw new FleetError(
          'balancer_refused',
          `HAProxy at ${address} does not remove ${backend}/${server} while it runs: ${firstLine(answer)}`,
          {
            next: `in haproxy.cfg, take the line of \`server ${server}\` out of \`backend ${backend}\`, and reload HAProxy`,
          },
        );
    }
  }

  async function unknownBackend(backend: string): Promise<FleetError> {
    const [, ...known] = (await ask('show backend')).trim().split('\n');
    return unknown(`HAProxy at ${address} has no backend ${backend}`, known);
  }
  async function unknownServer(backend: string, server: string): Promise<FleetError> {
    const known = (await servers(backend)).map((state) => state.name);
    return unknown(`HAProxy at ${address} has no server ${server} in backend ${backend}`, known);
  }

  return { servers, set, add, remove, close: async () => {} };
}

const REMOVE_TRIES = 10;
const REMOVE_PAUSE_MS = 200;

/** Plain words alone: a line end or `;` would begin another command. */
const OPTIONS = /^[A-Za-z0-9_.:/%-]*( [A-Za-z0-9_.:/%-]+)*$/;

function isAddress(text: string): boolean {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  return parts !== null && isIP(parts[1] ?? parts[2]!) !== 0;
}

/** As it stands in haproxy.cfg. */
export function serverLine({ name, address, options }: NewServer): string {
  return `server ${name} ${address} ${options}`.trim();
}

function cannotAdd(backend: string, server: NewServer, why: string): FleetError {
  return new FleetError(
    'balancer_refused',
    `HAProxy does not take in ${backend}/${server.name} while it runs: ${why}`,
    {
      next: `in haproxy.cfg, below \`backend ${backend}\`: \`${serverLine(server)}\`, and reload HAProxy`,
    },
  );
}

const firstLine = (answer: string) => answer.split('\n')[0]!.slice(0, 200);

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
  const said = firstLine(answer.trim());
  const next = /^Permission denied/.test(said)
    ? 'Give the socket `level admin` on its `stats socket` line, and reload HAProxy.'
    : 'Try the same command by hand: echo "COMMAND" | socat stdio SOCKET';
  return new FleetError('balancer_refused', `HAProxy answered "${said}" to "${command}"`, { next });
}
