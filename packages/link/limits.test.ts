/** What a peer costs that sends more than it should: its own session, and little before that. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { encodeChunk, encodeFrame } from '@fleet/protocol/codec.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { WebSocket } from 'ws';
import { createAllowance } from './allowance.ts';
import { acceptAgents, anybody } from './listen.ts';
import { asAgent, asController, listening, openPair, openSockets, PATH } from './pair.fixture.ts';

t.test('an allowance comes back with time', async (t) => {
  let now = 0;
  const take = createAllowance({ burst: 3, perSecond: 2 }, () => now);
  t.same([take(1), take(1), take(1), take(1)], [true, true, true, false]);
  now = 1000;
  t.same([take(1), take(1), take(1)], [true, false, false]);
  now = 1_000_000;
  t.same(
    [take(3 * 64 * 1024), take(1)],
    [true, false],
    'never more than the burst, and a large one counts as several',
  );
});

const FLOODS: Record<string, (socket: WebSocket) => void> = {
  'replies to nothing': (socket) => socket.send(encodeFrame({ type: 'reply', id: 77, body: {} })),
  'errors to nothing': (socket) =>
    socket.send(encodeFrame({ type: 'error', id: 77, error: { code: 'internal', message: 'm' } })),
  requests: (socket) => socket.send(encodeFrame({ type: 'request', id: 1, method: 'nonsense', body: {} })),
  'chunks of no stream': (socket) =>
    socket.send(encodeChunk({ stream: 8, offset: 0, payload: Buffer.alloc(1000) })),
  'acknowledgements of no stream': (socket) =>
    socket.send(encodeFrame({ type: 'ack', stream: 2, offset: 0 })),
  'streams that nobody takes': (socket) =>
    socket.send(encodeFrame({ type: 'open', stream: 2 * ++opened - 1, name: 'x', from: 0, size: 9 })),
  pings: (socket) => socket.ping(),
  pongs: (socket) => socket.pong(),
};
let opened = 0;

for (const [name, send] of Object.entries(FLOODS))
  t.test(`a flood of ${name} ends the session that it comes over`, async (t) => {
    const { dialled, accepted } = await openSockets(t);
    const session = asController(accepted, { unasked: { burst: 50, perSecond: 1 } });
    const other = await openPair(t, {
      agent: { handlers: { 'log.read': async () => ({ text: 'x', cursor: '' }) } },
    });
    for (let sent = 0; sent < 500; sent++) send(dialled);
    const reason = await session.closed;
    t.match(reason.cause, { code: 'too_many' });
    t.match(reason.message, /more than it was asked for/);
    const asked = other.controller.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 });
    t.equal((await asked).text, 'x', 'another goes on');
  });

t.test('what was asked for is no flood', async (t) => {
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, Buffer.alloc(20_000_000));
  const unasked = { burst: 5, perSecond: 0.001 };
  const { controller } = await openPair(t, {
    controller: { unasked },
    agent: {
      unasked,
      receive: async () => ({ write: async () => {}, end: async () => {}, abort: async () => {} }),
      handlers: { 'log.read': async ({ lines }) => ({ text: String(lines), cursor: '' }) },
    },
  });
  await controller.send({ name: 'a', path, from: 0, size: 20_000_000 });
  // Each of these is a request to the other end, which has an allowance of five and one was the stream.
  for (let lines = 1; lines <= 4; lines++)
    t.equal(
      (await controller.ask('log.read', { service: 'a', lines }, { timeoutMs: 60_000 })).text,
      String(lines),
    );
});

t.test('a question is answered once', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const session = asController(accepted, { unasked: { burst: 5, perSecond: 0.001 } });
  dialled.on('message', (data: Buffer) => {
    const { id } = JSON.parse(data.toString()) as { id: number };
    for (let times = 0; times < 10; times++)
      dialled.send(encodeFrame({ type: 'reply', id, body: { text: 'x', cursor: '' } }));
  });
  await session.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 });
  t.match((await session.closed).cause, { code: 'too_many' });
});

t.test('an acknowledgement that moves nothing does not keep a stream alive', async (t) => {
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, Buffer.alloc(3_000_000));
  const { dialled, accepted } = await openSockets(t);
  const session = asController(accepted, { progressMs: 200 });
  const again = setInterval(() => dialled.send(encodeFrame({ type: 'ack', stream: 2, offset: 0 })), 20);
  t.teardown(() => clearInterval(again));
  const sent = session.send({ name: 'a', path, from: 0, size: 3_000_000 });
  await t.rejects(sent, { code: 'transfer_failed', message: /has taken nothing/ });
});

t.test('an error says only what the peer may say', async (t) => {
  const fail = async (): Promise<never> => {
    throw new FleetError('database_full', 'no room', { next: 'wait' });
  };
  const { controller } = await openPair(t, {
    controller: { errorCodes: new Set(['disk_full']) },
    agent: { handlers: { 'log.read': fail }, receive: fail },
  });
  const asked = controller.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 });
  await t.rejects(asked, { code: 'internal', message: 'no room' });
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, 'x');
  await t.rejects(controller.send({ name: 'a', path, from: 0, size: 1 }), { code: 'internal' });
});

t.test('an error beyond all bounds ends the session', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const session = asController(accepted);
  const asked = session.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 });
  asked.catch(() => {});
  dialled.send(
    encodeFrame({ type: 'error', id: 1, error: { code: 'internal', message: 'm'.repeat(200_000) } }),
  );
  t.match((await session.closed).message, /broke the protocol: an error of \d+ characters/);
  await t.rejects(asked, { code: 'link_lost' });
});

t.test('a message in many fragments, or of many bytes, ends its connection', async (t) => {
  for (const flood of ['fragments', 'bytes'] as const) {
    const { dialled, accepted } = await openSockets(t);
    const session = asController(accepted);
    if (flood === 'fragments') for (let left = 100; left > 0; left--) dialled.send('x', { fin: left === 1 });
    else dialled.send('x'.repeat(1024 * 1024 + 1));
    t.match((await session.closed).message, /the connection broke/, flood);
  }
});

t.test('nothing is compressed, whatever the other end offers', async (t) => {
  const server = createServer();
  const acceptor = acceptAgents({ server, path: PATH, identify: anybody, onSocket: () => {} });
  t.teardown(() => acceptor.close());
  const url = await listening(t, server);
  const socket = new WebSocket(url, { perMessageDeflate: true });
  t.teardown(() => socket.terminate());
  await once(socket, 'open');
  t.equal(socket.extensions, '');
});

t.test('more requests at once than are answered at once', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const controller = asController(accepted);
  const gate = Promise.withResolvers<void>();
  let working = 0;
  let most = 0;
  asAgent(dialled, {
    handlers: {
      'log.read': async () => {
        working += 1;
        most = Math.max(most, working);
        await gate.promise;
        working -= 1;
        return { text: '', cursor: '' };
      },
    },
  });
  const all = Array.from({ length: 200 }, () =>
    controller.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 }).then(
      () => 'answered',
      (error: FleetError) => error.code,
    ),
  );
  const refused = (await Promise.race([Promise.all(all.slice(64)), once(dialled, 'close')])) as string[];
  gate.resolve();
  t.same(new Set(refused), new Set(['bad_request']));
  t.equal(most, 64);
  t.same(new Set((await Promise.all(all)).slice(0, 64)), new Set(['answered']));
});
