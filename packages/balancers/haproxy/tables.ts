/** HAProxy's two tables about servers, read by the names of their columns: the order differs between versions. */

import type { AdminState, ServerState } from '../balancer.ts';

type Row = Record<string, string>;

/** `show servers state`: a version line, a header after `# `, then columns divided by spaces. */
export function parseServersState(answer: string): Row[] {
  const [, header, ...lines] = answer.split('\n');
  return rows(header ?? '', lines, ' ');
}

/** `show stat`: a header after `# `, then CSV. Names and status never hold a comma or a quote. */
export function parseStat(answer: string): Row[] {
  const [header, ...lines] = answer.split('\n');
  return rows(header ?? '', lines, ',');
}

function rows(header: string, lines: string[], divider: string): Row[] {
  const names = header.replace(/^# /, '').split(divider);
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const cells = line.split(divider);
      return Object.fromEntries(names.map((name, at) => [name, cells[at] ?? '']));
    });
}

/**
 * Forced into maintenance, inherited from the server that it tracks, or without a resolved name. Two more bits have
 * maintenance in their name and do not mean it: 0x04 says that the configuration began with `disabled` and stays after
 * the server is ready, 0x40 that its name was set over the socket.
 */
const MAINT = 0x01 | 0x02 | 0x20;
/** Forced, or inherited from the server that it tracks. */
const DRAIN = 0x08 | 0x10;
const RUNNING = '2';

function adminOf(state: Row): AdminState {
  const flags = Number(state.srv_admin_state);
  if (flags & MAINT) return 'maint';
  // A weight of 0 takes no new users either, whatever the flags say.
  return flags & DRAIN || state.srv_uweight === '0' ? 'drain' : 'ready';
}

/**
 * A server that leaves maintenance is RUNNING before the first check of it has run: HAProxy gives it one failure less than it
 * takes to fall, and says so as `UP 1/3`. The same is said of one whose checks have begun to fail. Neither is known to
 * answer. (With `fall 1` there is no such fraction, and HAProxy's word is all there is.) The two tables are read one after
 * the other, so both must say it.
 */
function isUp(state: Row, stat: Row): boolean {
  return state.srv_op_state === RUNNING && PROVEN.has(stat.status ?? '');
}
const PROVEN = new Set(['UP', 'DRAIN', 'no check']);

export function serverState(state: Row, stat: Row): ServerState {
  return {
    name: state.srv_name!,
    admin: adminOf(state),
    up: isUp(state, stat),
    sessions: Number(stat.scur),
  };
}
