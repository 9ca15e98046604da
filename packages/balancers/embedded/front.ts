/** The listener in front: takes requests, chooses a server for each, hands both to httpxy. */
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import { createProxyServer, proxyUpgrade } from 'httpxy';
import type { Pool } from './pool.ts';
import type { Upstream } from './upstream.ts';

/** Milliseconds that an idle client connection is kept: longer than clients keep theirs, so that they are the ones to close. */
const KEEP_ALIVE = 65_000;
/** Asking twice for one of these is asking once (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export interface Front {
  readonly server: http.Server;
  close(): Promise<void>;
}

export function createFront(pool: Pool): Front {
  const proxy = createProxyServer({ xfwd: true });
  // Whether the client's connection is kept is between the client and us.
  proxy.on('proxyRes', (answer) => {
    delete answer.headers.connection;
    delete answer.headers['keep-alive'];
  });

  async function forward(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const backend = backendOf(request, pool.backends);
    if (backend === undefined) return refuse(response, 404, noBackend(pool.backends));
    const tried = new Set<Upstream>();
    for (;;) {
      using session = await openSession(pool, backend, tried);
      if (session === undefined) return refuse(response, 503, `No server of ${backend} takes requests.`);
      // httpxy waits for the response to close: one that has closed already would keep the session for ever.
      if (response.destroyed) return;
      const { upstream, agent } = session;
      try {
        const headers = { connection: 'close' };
        return await proxy.web(request, response, { target: urlOf(upstream), agent, headers });
      } catch {
        if (response.headersSent || request.socket.destroyed) return void response.destroy();
        if (!isRepeatable(request))
          return refuse(response, 502, `${upstream.name} broke off before it answered.`);
      }
    }
  }

  async function upgrade(request: http.IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const backend = backendOf(request, pool.backends);
    const session = backend === undefined ? undefined : await openSession(pool, backend, new Set());
    if (session === undefined)
      return void client.end(
        'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
      );
    // httpxy passes ends on. A client that does not answer an end with its own must not keep the session.
    client.once('close', () => session[Symbol.dispose]());
    session.socket.once('close', () => client.end(() => client.destroy()));
    if (client.destroyed) return session[Symbol.dispose]();
    const { upstream, agent } = session;
    await proxyUpgrade(upstream.address, request, client, head, { agent }).catch(() => {
      // It has answered the client in the server's words, or ended it.
    });
  }

  const upgraded = new Set<Duplex>();
  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE }, (request, response) => {
    forward(request, response).catch(() => response.destroy());
  });
  server.on('upgrade', (request, client, head) => {
    upgraded.add(client);
    client.on('error', () => {});
    client.once('close', () => upgraded.delete(client));
    upgrade(request, client, head).catch(() => client.destroy());
  });
  return {
    server,
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      // Node lets go of a connection once it is upgraded.
      for (const client of upgraded) client.destroy();
      await closed;
    },
  };
}

interface Session extends Disposable {
  upstream: Upstream;
  socket: net.Socket;
  agent: http.Agent;
}

/**
 * Connect to the next server that takes requests, passing by the ones in `tried`, which it adds to. Connecting comes first,
 * apart from sending: until it is done nothing of the request is used up, whatever its method. The session counts from before
 * the connection is made, so that a drain that reads 0 has missed none.
 */
async function openSession(pool: Pool, backend: string, tried: Set<Upstream>): Promise<Session | undefined> {
  for (;;) {
    const upstream = pool.choose(backend, tried);
    if (upstream === undefined) return undefined;
    tried.add(upstream);
    const endSession = upstream.countSession();
    try {
      const socket = await upstream.connect();
      const dispose = () => {
        socket.destroy();
        endSession();
      };
      return { upstream, socket, agent: new OneConnection(socket), [Symbol.dispose]: dispose };
    } catch {
      endSession();
    }
  }
}

/** The backend that the Host header names; with any other, or none, the only backend that there is. */
function backendOf(request: http.IncomingMessage, backends: string[]): string | undefined {
  const host = request.headers.host?.replace(/:\d+$/, '');
  return backends.find((backend) => backend === host) ?? (backends.length === 1 ? backends[0] : undefined);
}
function noBackend(backends: string[]): string {
  if (backends.length === 0) return 'No host has a route to this balancer.';
  return `Name the backend in the Host header: ${backends.join(', ')}.`;
}

function isRepeatable({ method, headers }: http.IncomingMessage): boolean {
  const bodyless = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
  return bodyless && IDEMPOTENT.has(method ?? '');
}

function refuse(response: http.ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

function urlOf({ address: { host, port } }: Upstream): URL {
  return new URL(`http://${host}:${port}`);
}

/**
 * Sends one request over a connection that exists. Pooled connections would be quicker by a tenth of a millisecond, and now and
 * then one is closed by the server in the moment in which a request is sent over it.
 */
class OneConnection extends http.Agent {
  readonly #socket: net.Socket;
  constructor(socket: net.Socket) {
    super();
    this.#socket = socket;
  }
  override createConnection(): net.Socket {
    return this.#socket;
  }
}
