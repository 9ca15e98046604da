/** Hostile frames: whatever they are, they end their own connection at most. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { encodeChunk } from '@fleet/protocol/codec.ts';
import { AGENT_METHODS, CONTROLLER_METHODS } from '@fleet/protocol/messages/methods.ts';
import t from 'tap';
import { WebSocket } from 'ws';
import { acceptAgents, anybody } from './listen.ts';
import { asController, helloFrom, listening, openPair, PATH } from './pair.fixture.ts';

const SEED = 20261121;
const FRAMES = 2000;

/** mulberry32: the same seed, the same frames. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
const random = randomOf(SEED);
const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
const bytes = (length: number) => Buffer.from(Array.from({ length }, () => random(256)));

const ODD: unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x'.repeat(300),
  '\u0000',
  '__proto__',
  [],
  {},
  [[[[]]]],
  { __proto__: null, toString: 1, constructor: {} },
];
const methods = [...Object.keys(CONTROLLER_METHODS), ...Object.keys(AGENT_METHODS), 'nonsense', '__proto__'];
const error = { code: 'internal', message: 'm', next: 'n', data: { a: 1 } };

/** A frame that would be right, somewhere. */
function plausible(): Record<string, unknown> {
  const stream = random(8);
  const id = random(5);
  return pick<Record<string, unknown>>([
    { type: 'request', id, method: pick(methods), body: pick<unknown>([helloFrom('a'), {}, pick(ODD)]) },
    { type: 'reply', id, body: pick(ODD) },
    { type: 'error', id, error },
    { type: 'open', stream, name: 'release/a', from: random(3) * 100, size: random(1000) },
    { type: 'ack', stream, offset: random(3000) * 1000 },
    { type: 'done', stream },
    { type: 'cancel', stream, error },
  ]);
}

function hostile(): string | Buffer {
  const frame = plausible();
  const text = JSON.stringify(frame);
  switch (random(8)) {
    case 0:
      return bytes(random(400));
    case 1:
      return encodeChunk({ stream: random(8), offset: random(4) * 50, payload: bytes(random(100)) });
    case 2:
      return JSON.stringify({ ...frame, [pick(Object.keys(frame))]: pick(ODD) });
    case 3:
      return JSON.stringify({ ...frame, [pick(['extra', '__proto__', 'then'])]: pick(ODD) });
    case 4:
      return text.slice(0, random(text.length));
    case 5: {
      const flipped = Buffer.from(text);
      flipped[random(flipped.length)] = random(256);
      return flipped.toString('latin1');
    }
    case 6:
      return '['.repeat(random(50_000));
    default:
      return text;
  }
}

t.test(`${FRAMES} hostile frames (seed ${SEED}) end no more than their own connection`, async (t) => {
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, Buffer.alloc(3_000_000));
  const server = createServer();
  let reasons = 0;
  const sink = { write: async () => {}, end: async () => {}, abort: async () => {} };
  const acceptor = acceptAgents({
    server,
    path: PATH,
    identify: anybody,
    onSocket(socket) {
      // A session with everything under way that a frame could meet.
      const session = asController(socket, {
        hello: async () => ({ protocol: 1, fleet: 'f' }),
        receive: async () => sink,
      });
      const underWay = [
        session.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 }),
        session.send({ name: 'release/a', path, from: 0, size: 3_000_000 }),
      ];
      for (const promise of underWay) promise.catch(() => {});
      void session.closed.then(() => {
        reasons += 1;
      });
    },
  });
  const url = await listening(t, server);
  const healthy = await openPair(t, {
    agent: { handlers: { 'log.read': async ({ lines }) => ({ text: String(lines), cursor: '' }) } },
  });

  let connections = 0;
  let socket: WebSocket | undefined;
  for (let sent = 0; sent < FRAMES; sent++) {
    if (socket?.readyState !== WebSocket.OPEN) {
      socket = new WebSocket(url);
      socket.on('error', () => {});
      connections += 1;
      await once(socket, 'open');
    }
    socket.send(hostile());
    // Now and then the far end gets the time to say what it thinks of it.
    if (random(3) === 0) await new Promise(setImmediate);
    if (sent % 100 === 0) {
      const ask = healthy.controller.ask(
        'log.read',
        { service: 'a', lines: sent + 1 },
        { timeoutMs: 60_000 },
      );
      t.equal((await ask).text, String(sent + 1), 'another connection goes on');
    }
  }
  socket?.terminate();
  await acceptor.close();
  t.ok(connections > 100, `${connections} connections`);
  t.equal(reasons, connections, 'each session ended, for one reason');
});

t.test('bytes that are no WebSocket frames end their connection', async (t) => {
  const server = createServer();
  const reasons: string[] = [];
  const acceptor = acceptAgents({
    server,
    path: PATH,
    identify: anybody,
    onSocket(socket) {
      void asController(socket).closed.then(({ message }) => reasons.push(message));
    },
  });
  t.teardown(() => acceptor.close());
  const { port } = new URL(await listening(t, server));
  const rounds = 60;
  for (let round = 0; round < rounds; round++) {
    const socket = connect({ port: Number(port), host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.write(
      `GET ${PATH} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await once(socket, 'data');
    socket.resume();
    socket.end(bytes(1 + random(300)));
    await once(socket, 'close');
  }
  while (reasons.length < rounds) await new Promise(setImmediate);
  t.equal(reasons.length, rounds);
});
