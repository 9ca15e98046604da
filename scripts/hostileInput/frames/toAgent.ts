/** Hostile frames to a real agent, by who it takes for its controller. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Random } from '../../random/random.ts';
import type { Part } from '../part.ts';
import { FEW, hostileFrame } from './mutate.ts';

/** Fewer than it takes for a flood. */
const MOST_EACH = 900;

export class EvilController {
  readonly #server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  readonly #sockets: WebSocket[] = [];
  #waiting: (() => void) | undefined;

  /** Its address, like ws://127.0.0.1:7300. */
  async open(): Promise<string> {
    this.#server.on('connection', (socket) => {
      socket.on('error', () => {});
      this.#sockets.push(socket);
      this.#waiting?.();
    });
    await once(this.#server, 'listening');
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next connection of the agent, whose hello has been answered. */
  async next(): Promise<WebSocket> {
    while (this.#sockets.length === 0)
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    const socket = this.#sockets.shift()!;
    const [data] = (await once(socket, 'message')) as [Buffer];
    const { id } = JSON.parse(data.toString()) as { id: number };
    socket.send(JSON.stringify({ type: 'reply', id, body: { protocol: 1, fleet: crypto.randomUUID() } }));
    return socket;
  }

  async attack(part: Part, random: Random, count: number): Promise<void> {
    for (let sent = 0; sent < count && !part.late(); ) {
      const socket = await this.next();
      let left = MOST_EACH;
      for (; left > 0 && sent < count && socket.readyState === socket.OPEN; left--) {
        socket.send(hostileFrame(random, FEW), () => {});
        sent += 1;
        if (random.chance(0.05)) await new Promise(setImmediate);
      }
      part.count('frames to the agent', MOST_EACH - left);
      socket.terminate();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }
}
