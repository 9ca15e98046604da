/**
 * A balancer hides hosts from users and shows them again. A driver has four members and one contract suite
 * (contract.ts); what it cannot do it refuses by a FleetError with a `balancer_` code.
 */

/** What the balancer itself says of one server, asked just now. */
export interface ServerState {
  name: string;
  /** What it was told: `ready` takes users, `drain` only finishes what is open, `maint` is out. */
  admin: 'ready' | 'drain' | 'maint';
  /** Whether its own health checks (or, with none, the fact that it is configured) say that the server answers. */
  up: boolean;
  /** Sessions open to it now. */
  sessions: number;
}

/** Users reach it: told to take them, and up. */
export function isVisible(state: ServerState): boolean {
  return state.admin === 'ready' && state.up;
}

export interface Balancer {
  /** All servers of one backend. Throws `balancer_unreachable` or `balancer_unknown` (the backend). */
  servers(backend: string): Promise<ServerState[]>;
  /** Tell one server to be in this state. Returns when the balancer accepted it; callers read back with `servers`. */
  set(backend: string, server: string, admin: ServerState['admin']): Promise<void>;
  /** Release sockets and listeners. */
  close(): Promise<void>;
}
