/** A fake of the controller: the same table of routes and the same event stream, over a real socket, with answers that a test writes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Envelope, FleetEvent } from '@fleet/protocol/api/events.ts';
import type { Download } from '@fleet/protocol/api/programs.ts';
import {
  type Body,
  EVENTS,
  type Params,
  type Query,
  type Reply,
  ROUTES,
  type Route,
  type RouteName,
} from '@fleet/protocol/api/routes.ts';
import { asFleetError, CODES } from '@fleet/protocol/errors.ts';

export interface Asked<N extends RouteName> {
  params: Params<N>;
  query: Query<N>;
  body: Body<N>;
  headers: IncomingMessage['headers'];
}
type Answer<N extends RouteName> = (asked: Asked<N>) => Reply<N> | Promise<Reply<N>>;

export interface FakeController {
  readonly url: string;
  /** What every request of this route gets from now on; throw a FleetError for an error. */
  answer<N extends RouteName>(name: N, answer: Answer<N>): void;
  /** Keeps an event and sends it to whoever follows its topic; `kept: false` sends it only, as progress is. */
  publish(topic: string, event: FleetEvent, kept?: boolean): void;
  /** Resolves when this many event streams have been opened, all in all; tells what Last-Event-ID the last one had. */
  opened(count: number): Promise<string | undefined>;
  /** Cuts every connection, in the middle of whatever it is in. */
  cut(): void;
  /** Stops listening and cuts everything. `start` comes back on the same port, with the events that were kept. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startFakeController(): Promise<FakeController> {
  const answers = new Map<RouteName, (asked: never) => unknown>();
  const kept: Envelope[] = [];
  const streams = new Map<ServerResponse, string | null>();
  const sockets = new Set<Socket>();
  const openings: Array<string | undefined> = [];
  const waiting = new Set<() => void>();
  let port = 0;

  const server = createServer((request, response) => {
    response.on('error', () => {});
    const url = new URL(request.url ?? '/', 'http://fake');
    if (url.pathname === EVENTS.path) openStream(request, response, url);
    else void reply(request, response, url);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });

  function openStream(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const topic = url.searchParams.get('topic');
    const header = request.headers['last-event-id'];
    const last = Number(header ?? url.searchParams.get('after') ?? 0);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    for (const envelope of kept)
      if ((envelope.id ?? 0) > last && (topic === null || topic === envelope.topic)) send(response, envelope);
    streams.set(response, topic);
    response.on('close', () => streams.delete(response));
    openings.push(typeof header === 'string' ? header : undefined);
    for (const check of waiting) check();
  }

  async function reply(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    try {
      const [name, params] = match(request.method ?? 'GET', url.pathname) ?? [];
      const answer = name && answers.get(name);
      if (!name || !answer) throw new Error(`the fake has no answer for ${request.method} ${url.pathname}`);
      const route: Route = ROUTES[name];
      const asked = {
        params: route.params?.parse(params),
        query: route.query?.parse(Object.fromEntries(url.searchParams)),
        body: route.body?.parse(JSON.parse(await readBody(request))),
        headers: request.headers,
      };
      const given = await answer(asked as never);
      if (route.gives === undefined) return end(response, 200, route.reply.parse(given));
      const { size, content } = given as Download;
      response.writeHead(200, { 'content-type': route.gives, 'content-length': size });
      await pipeline(content, response);
    } catch (thrown) {
      const error = asFleetError(thrown);
      end(response, CODES[error.code].http, error);
    }
  }

  const listen = () =>
    new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', () => {
        port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  await listen();
  return {
    url: `http://127.0.0.1:${port}`,
    answer(name, answer) {
      answers.set(name, answer as (asked: never) => unknown);
    },
    publish(topic, event, keep = true) {
      const envelope = { id: keep ? kept.length + 1 : null, at: new Date().toISOString(), topic, event };
      if (keep) kept.push(envelope);
      for (const [response, wanted] of streams)
        if (wanted === null || wanted === topic) send(response, envelope);
    },
    opened(count) {
      return new Promise((resolve) => {
        const check = () => {
          if (openings.length < count) return;
          waiting.delete(check);
          resolve(openings[count - 1]);
        };
        waiting.add(check);
        check();
      });
    },
    cut,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
    start: listen,
  };
}

function match(method: string, pathname: string): [RouteName, Record<string, string>] | undefined {
  for (const name of Object.keys(ROUTES) as RouteName[]) {
    const route = ROUTES[name];
    const pattern = new RegExp(`^${route.path.replace(/:([a-z]+)/g, '(?<$1>[^/]+)')}$`);
    const found = route.method === method && pattern.exec(pathname);
    if (!found) continue;
    const params = Object.entries(found.groups ?? {}).map(([key, value]) => [key, decodeURIComponent(value)]);
    return [name, Object.fromEntries(params)];
  }
  return undefined;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString() || 'null';
}

function send(response: ServerResponse, envelope: Envelope): void {
  const id = envelope.id === null ? '' : `id: ${envelope.id}\n`;
  response.write(`${id}data: ${JSON.stringify(envelope)}\n\n`);
}

function end(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
