/** The accepting side of the link, on one path of an HTTP server that also does other things. */
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { asFleetError, CODES } from '@fleet/protocol/errors.ts';
import { type WebSocket, WebSocketServer } from 'ws';
import { SOCKET_LIMITS } from './limits.ts';
import { watchNewcomers } from './newcomers.ts';

export interface AcceptOptions<Who> {
  server: Server;
  path: string;
  /** Bytes of the largest frame. */
  maxPayload?: number;
  /** See `watchNewcomers`. */
  maxNewcomers?: number;
  /** Who dials, by its connection, before anything is upgraded; what it throws refuses the peer, which is told. */
  identify(stream: Duplex): Promise<Who>;
  /** Called as soon as the socket is open: listen to it before the first await. `known` is called once the peer has said who it is. */
  onSocket(socket: WebSocket, known: () => void, who: Who): void;
}

/**
 * Takes upgrades on `path`. Those on other paths are left to whoever else listens for them, and refused where nobody does.
 * `close` takes no more and ends the connections that are left; the HTTP server stays.
 */
export function acceptAgents<Who>(options: AcceptOptions<Who>): { close(): Promise<void> } {
  const { server, path, maxPayload = SOCKET_LIMITS.maxPayload, identify, onSocket } = options;
  const newcomers = watchNewcomers(server, options.maxNewcomers);
  let closing = false;
  const sockets = new WebSocketServer({ ...SOCKET_LIMITS, noServer: true, maxPayload });

  function onUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on('error', () => stream.destroy());
    if (request.url?.split('?')[0] !== path) {
      if (server.listenerCount('upgrade') === 1) refuse(stream, '404 Not Found');
    } else if (request.headers.origin !== undefined) {
      // Only browsers send one, and a page that somebody looks at has no business here.
      refuse(stream, '403 Forbidden');
    } else {
      void admit(request, stream, head);
    }
  }
  async function admit(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    let who: Who;
    try {
      who = await identify(stream);
    } catch (thrown) {
      const error = asFleetError(thrown);
      refuse(stream, `${CODES[error.code].http} Refused`, JSON.stringify(error));
      return;
    }
    if (closing || stream.destroyed) {
      stream.destroy();
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      socket.on('error', () => {});
      onSocket(socket, () => newcomers.know(stream), who);
    });
  }
  server.on('upgrade', onUpgrade);

  return {
    async close() {
      closing = true;
      server.off('upgrade', onUpgrade);
      newcomers.stop();
      await Promise.all(
        [...sockets.clients].map(async (socket) => {
          const closed = once(socket, 'close');
          // One that is closing already has its own end: see `leave` in session.ts.
          if (socket.readyState === socket.OPEN) socket.terminate();
          await closed;
        }),
      );
    },
  };
}

function refuse(stream: Duplex, status: string, body = ''): void {
  stream.once('finish', () => stream.destroy());
  stream.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** For an endpoint where nobody is asked who they are. */
export const anybody = async (): Promise<undefined> => undefined;
