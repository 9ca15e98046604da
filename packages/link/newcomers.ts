/** Connections of which nobody knows yet who it is: a silent crowd of them must not keep out those that speak. */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** More than agents say hello in one moment; a few MB. */
const MOST = 256;

/**
 * Keeps at most `most` connections that have neither asked for something over HTTP nor become known; over TLS also those that are
 * still shaking hands. The oldest gives way to the next: whoever means it has spoken long before its turn comes, and an agent that was
 * slow dials again.
 */
export function watchNewcomers(
  server: Server,
  most = MOST,
): { know(connection: Duplex): void; stop(): void } {
  /** By their ends, oldest first: over TLS there are two objects for one connection, the encrypted one and the one in clear. */
  const newcomers = new Map<string, Socket>();
  const know = (connection: Duplex) => void newcomers.delete(endsOf(connection));

  function onConnection(connection: Socket): void {
    const ends = endsOf(connection);
    newcomers.set(ends, connection);
    connection.once('close', () => {
      if (newcomers.get(ends) === connection) newcomers.delete(ends);
    });
    if (newcomers.size <= most) return;
    const [oldest] = newcomers;
    if (oldest === undefined) return;
    newcomers.delete(oldest[0]);
    oldest[1].destroy();
  }
  const onRequest = ({ socket }: IncomingMessage) => know(socket);
  // A certificate of ours says who it is. Where none is asked for, nobody is authorized.
  const onSecure = (socket: TLSSocket) => {
    if (socket.authorized) know(socket);
  };
  server.on('connection', onConnection).on('request', onRequest).on('secureConnection', onSecure);

  return {
    know,
    stop: () =>
      void server.off('connection', onConnection).off('request', onRequest).off('secureConnection', onSecure),
  };
}

function endsOf(connection: Duplex | Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = connection as Socket;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
