/** Servers for tests of checks: each answers as it is told, byte by byte where that matters. */
import { once } from 'node:events';
import net from 'node:net';
import type { Test } from 'tap';

/** Calls `serve` with each connection and how many there have been. Gives the port. */
export async function listen(t: Test, serve: (socket: net.Socket, nth: number) => void): Promise<number> {
  const open = new Set<net.Socket>();
  let nth = 0;
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    serve(socket, ++nth);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}

/** Answers the n-th request with `answers[n]`, and every one after the last with the last. */
export function listenHttp(t: Test, ...answers: string[]): Promise<number> {
  return listen(t, (socket, nth) => {
    socket.once('data', () => socket.end(answers[nth - 1] ?? answers.at(-1) ?? ''));
  });
}

export function answer(status: number, body = '', headers = ''): string {
  return `HTTP/1.1 ${status} Text\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

/** A port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
