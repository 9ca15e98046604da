import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { dial, pauseAfter } from './dial.ts';
import { acceptAgents, anybody } from './listen.ts';
import type { Log } from './log.ts';
import { asAgent, asController, listening, PATH } from './pair.fixture.ts';
import type { Session } from './session.ts';

function logTo(lines: string[]): Log {
  const line = (level: string) => (_data: object, message: string) => void lines.push(`${level} ${message}`);
  return { debug: line('debug'), info: line('info'), warn: line('warn') };
}

/** A controller's end; `next` gives each session that comes in. */
async function accepting(t: Test, port = 0) {
  const server = createServer();
  const sessions: Array<ReturnType<typeof asController>> = [];
  let wake = () => {};
  const acceptor = acceptAgents({
    server,
    path: PATH,
    identify: anybody,
    onSocket(socket) {
      sessions.push(asController(socket));
      wake();
    },
  });
  t.teardown(() => acceptor.close());
  const url = await listening(t, server, port);
  return {
    url,
    server,
    port: (server.address() as AddressInfo).port,
    async next() {
      while (sessions.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return sessions.shift()!;
    },
    async stop() {
      await acceptor.close();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Dials until the test ends. */
function dialling(t: Test, url: string, connect: Parameters<typeof dial>[0]['connect']) {
  const lines: string[] = [];
  const stop = new AbortController();
  const ended = dial({ url, connect, log: logTo(lines), signal: stop.signal });
  t.teardown(async () => {
    stop.abort();
    await ended;
  });
  return { lines, stop, ended };
}

t.test('it comes back after the server was restarted, and says so once', async (t) => {
  const first = await accepting(t);
  let tries = 0;
  const { lines, stop, ended } = dialling(t, first.url, async (socket) => {
    tries += 1;
    return asAgent(socket);
  });
  await first.next();
  await first.stop();
  // Several tries find nobody.
  while (!lines.some((line) => line.includes('ECONNREFUSED'))) await new Promise(setImmediate);
  const second = await accepting(t, first.port);
  const session = await second.next();
  while (lines.at(-1) !== 'info connected') await new Promise(setImmediate);
  stop.abort();
  await ended;
  t.match(await session.closed, { message: 'closed by the peer: this end is stopping' });
  t.equal(tries, 2);
  t.match(lines, [
    'info connected',
    'warn the connection was lost',
    /warn no connection to .*ECONNREFUSED/,
    'info connected',
    'info stopped',
  ]);
  t.equal(lines.length, 5);
});

t.test('a connect that fails is tried again, and the same failure is said once', async (t) => {
  const { url, next } = await accepting(t);
  let tries = 0;
  const { lines } = dialling(t, url, async (socket) => {
    const session = asAgent(socket);
    tries += 1;
    if (tries < 4) throw new FleetError('name_in_use', 'another agent is connected under the name web-1');
    return session;
  });
  for (let refused = 1; refused < 4; refused++) t.match(await (await next()).closed, { code: 'link_lost' });
  await next();
  while (lines.length < 2) await new Promise(setImmediate);
  t.same(lines, ['warn another agent is connected under the name web-1', 'info connected']);
});

t.test('it stops while a server does not answer the handshake', async (t) => {
  const silent = createTcpServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const taken = once(silent, 'connection');
  t.teardown(() => silent.close());
  const url = `ws://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  const { lines, stop, ended } = dialling(t, url, () => Promise.reject(new Error('never called')));
  await taken;
  stop.abort();
  await ended;
  t.same(lines, ['info stopped']);
});

t.test('it stops while connect still waits for the hello’s answer', async (t) => {
  const { url, next } = await accepting(t);
  const { promise: asked, resolve } = Promise.withResolvers<Session<never>>();
  const { stop, ended } = dialling(t, url, async (socket) => {
    const session = asAgent(socket) as unknown as Session<never>;
    resolve(session);
    await session.closed;
    throw new FleetError('link_lost', 'hello was not answered');
  });
  await next();
  await asked;
  stop.abort();
  await ended;
});

t.test('what is no address is told at once', async (t) => {
  const never = new AbortController().signal;
  const connect = () => Promise.reject(new Error('never called'));
  await t.rejects(dial({ url: 'not a url', connect, log: logTo([]), signal: never }), SyntaxError);
});

t.test(
  'a pause is at most half of the time away, from 100 ms to 5 s, and all of it is left to chance',
  async (t) => {
    const longest = [0, 150, 1000, 4000, 10_000, 1e9].map((away) => pauseAfter(away, 1));
    t.same(longest, [100, 100, 500, 2000, 5000, 5000]);
    t.equal(pauseAfter(4000, 0), 0);
    t.equal(pauseAfter(4000, 0.25), 500);
  },
);

t.test('upgrades: browsers are refused, other paths are left to others', async (t) => {
  const { url, server, next } = await accepting(t);
  const upgrade = async (path: string, headers: Record<string, string> = {}) => {
    const request = get(new URL(path, url.replace('ws:', 'http:')), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      request.emit('response', response);
    });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  t.equal(await upgrade(PATH, { Origin: 'http://127.0.0.1' }), 403);
  t.equal(await upgrade(PATH, { Origin: 'null' }), 403);
  t.equal(await upgrade('/other'), 404);
  t.equal(await upgrade(`${PATH}/more`), 404);
  server.on('upgrade', (request, socket) => {
    if (request.url === '/other') socket.end('HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n');
  });
  t.equal(await upgrade('/other'), 410);
  t.equal(await upgrade(`${PATH}?host=a`), 101);
  await next();
});
