/**
 * A balancer hides hosts from users and shows them again. A driver has five members and one contract suite
 * (contract.ts); what it cannot do it refuses by a FleetError with a `balancer_` code.
 */

/** What a server is told: `ready` takes users, `drain` only finishes what is open, `maint` is out. */
export type AdminState = 'ready' | 'drain' | 'maint';

/** What the balancer itself says of one server, asked just now. */
export interface ServerState {
  name: string;
  admin: AdminState;
  /**
   * Whether the balancer has found that the server answers. One whose checks have begun to fail, or have not run since it
   * came back, is not up; one that the balancer was told not to check is.
   */
  up: boolean;
  /** Sessions open to it now. */
  sessions: number;
}

/** Users reach it: told to take them, and up. */
export function isVisible(state: ServerState): boolean {
  return state.admin === 'ready' && state.up;
}

/** A server that a balancer is to take in while it runs. */
export interface NewServer {
  name: string;
  /** IP:PORT; an IPv6 address in brackets. */
  address: string;
  /** What else its line in the balancer's own configuration says, such as `check inter 1s`. */
  options: string;
}

export interface Balancer {
  /** All servers of one backend. Throws `balancer_unreachable` or `balancer_unknown` (the backend). */
  servers(backend: string): Promise<ServerState[]>;
  /**
   * Tell one server to be in this state; saying it twice is fine. Returns when the balancer accepted it; callers read back
   * with `servers`. Throws `balancer_unreachable`, `balancer_unknown` (backend or server) or `balancer_refused`.
   */
  set(backend: string, server: string, admin: AdminState): Promise<void>;
  /**
   * Takes in a server that it does not have, in `maint`, with its checks at work. One that it has stays as it is. Throws
   * `balancer_unreachable`, `balancer_unknown` (the backend), and `balancer_refused` where it cannot: `next` then has what to write
   * into its configuration by hand.
   */
  add(backend: string, server: NewServer): Promise<void>;
  /**
   * Forgets a server that is in `maint` and has no session; one that it does not have is fine. Throws as `add` does, with what to
   * take out of its configuration by hand.
   */
  remove(backend: string, server: string): Promise<void>;
  /** Release sockets and listeners. */
  close(): Promise<void>;
}
