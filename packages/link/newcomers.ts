/** Connections of which nobody knows yet who it is: a silent crowd of them must not keep out those that speak. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** More than agents say hello in one moment; a few MB. */
const MOST = 256;

/**
 * Keeps at most `most` connections that have neither asked for something over HTTP nor become known. The oldest gives way to the
 * next: whoever means it has spoken long before its turn comes, and an agent that was slow dials again.
 */
export function watchNewcomers(
  server: Server,
  most = MOST,
): { know(connection: Duplex): void; stop(): void } {
  /** Oldest first. */
  const newcomers = new Set<Duplex>();
  const know = (connection: Duplex) => void newcomers.delete(connection);

  function onConnection(connection: Duplex): void {
    newcomers.add(connection);
    connection.once('close', () => know(connection));
    if (newcomers.size <= most) return;
    const [oldest] = newcomers;
    if (oldest === undefined) return;
    know(oldest);
    oldest.destroy();
  }
  const onRequest = ({ socket }: IncomingMessage) => know(socket);
  server.on('connection', onConnection).on('request', onRequest);

  return {
    know,
    stop: () => void server.off('connection', onConnection).off('request', onRequest),
  };
}
