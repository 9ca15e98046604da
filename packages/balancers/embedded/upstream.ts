import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { AdminState, ServerState } from '../balancer.ts';
import { isVisible } from '../balancer.ts';

/** Milliseconds: how long a connection may take, and between two looks at a server that is up and at one that is not. */
const CONNECT = 1000;
const LOOK_WHEN_UP = 1000;
const LOOK_WHEN_DOWN = 50;

/** One server behind the embedded balancer: what it was told, whether it answers, and what is open to it. */
export class Upstream {
  readonly name: string;
  readonly address: { host: string; port: number };
  #admin: AdminState;
  #up = false;
  #sessions = 0;
  #closed = false;
  #wake = new AbortController();

  constructor(name: string, address: string, admin: AdminState) {
    const at = address.lastIndexOf(':');
    this.name = name;
    this.address = { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
    this.#admin = admin;
  }

  get state(): ServerState {
    return { name: this.name, admin: this.#admin, up: this.#up, sessions: this.#sessions };
  }
  get visible(): boolean {
    return isVisible(this.state);
  }

  /** A server that comes back is not up before it has been looked at again: it may have been stopped meanwhile. */
  tell(admin: AdminState): void {
    if (admin === this.#admin) return;
    this.#admin = admin;
    if (admin !== 'drain') this.#up = false;
    this.#wake.abort();
  }

  /** One session more, until what it returns is called; calling that twice counts once. */
  countSession(): () => void {
    this.#sessions++;
    let open = true;
    return () => {
      if (open) this.#sessions--;
      open = false;
    };
  }

  /** A fresh connection. A failure takes the server out until it answers again. */
  async connect(): Promise<net.Socket> {
    const socket = net.connect(this.address);
    const late = () => socket.destroy(new Error(`no connection within ${CONNECT} ms`));
    socket.on('error', () => {});
    socket.setTimeout(CONNECT, late);
    try {
      await once(socket, 'connect');
      socket.setTimeout(0, late);
      return socket;
    } catch (error) {
      socket.destroy();
      this.#up = false;
      this.#wake.abort();
      throw error;
    }
  }

  /** Look once whether it answers. A server in maintenance is left alone. */
  async look(): Promise<void> {
    if (this.#admin === 'maint') return;
    try {
      const socket = await this.connect();
      socket.destroy();
      this.#up = this.state.admin !== 'maint';
    } catch {
      // connect() has taken it out
    }
  }

  /** Look again and again until closed. Resolves then. */
  async watch(): Promise<void> {
    while (!this.#closed) {
      this.#wake = new AbortController();
      const rest = this.#up || this.#admin === 'maint' ? LOOK_WHEN_UP : LOOK_WHEN_DOWN;
      await pause(rest, undefined, { signal: this.#wake.signal }).catch(() => {});
      if (!this.#closed) await this.look();
    }
  }

  close(): void {
    this.#closed = true;
    this.#wake.abort();
  }
}
