import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK, CREDIT, encodeChunk } from '@fleet/protocol/codec.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import type { WebSocket } from 'ws';
import { asAgent, asController, openPair, openSockets } from './pair.fixture.ts';
import type { Receive, Sink } from './receiving.ts';

const WAIT = { timeoutMs: 20_000 };

async function fileOf(t: Test, bytes: number): Promise<{ path: string; content: Buffer; size: number }> {
  const content = randomBytes(bytes);
  const path = join(t.testdir({}), 'artifact');
  await writeFile(path, content);
  return { path, content, size: bytes };
}

/** Appends to a file from the offset that the stream begins at, as an agent does. */
const into =
  (path: string): Receive =>
  async (_name, from) => {
    const file = await open(path, from === 0 ? 'w' : 'r+');
    let at = from;
    return {
      async write(chunk) {
        await file.write(chunk, 0, chunk.length, at);
        at += chunk.length;
      },
      end: () => file.close(),
      abort: () => file.close(),
    };
  };

/** A sink of which a test replaces what it needs. */
const sinkWith = (parts: Partial<Sink>): Sink => ({
  async write() {},
  async end() {},
  async abort() {},
  ...parts,
});

const digest = (content: Buffer) => createHash('sha256').update(content).digest('hex');

/** Waits for something that the next frames bring about. */
async function until(socket: WebSocket, holds: () => boolean): Promise<void> {
  while (!holds()) await once(socket, 'message');
}

t.test('50 MB arrive whole, and the sender holds CREDIT chunks of it at most', async (t) => {
  const { path, content, size } = await fileOf(t, 50_000_000);
  const received = `${path}.received`;
  const { accepted, controller } = await openPair(t, { agent: { receive: into(received) } });
  let waiting = 0;
  const progress: number[] = [];
  await controller.send({
    name: 'release/a',
    path,
    from: 0,
    size,
    onProgress(done) {
      progress.push(done);
      waiting = Math.max(waiting, accepted.bufferedAmount);
    },
  });
  t.equal(digest(await readFile(received)), digest(content));
  t.equal(progress.length, Math.ceil(size / CHUNK));
  t.equal(progress.at(-1), size);
  t.same(
    progress,
    progress.toSorted((a, b) => a - b),
  );
  t.ok(waiting <= CREDIT * (CHUNK + 100), `${waiting} bytes waited`);
});

t.test('a slow sink holds the sender back', async (t) => {
  const { path, size } = await fileOf(t, 10 * CHUNK);
  const writes: Array<() => void> = [];
  const { dialled, agent, controller } = await openPair(t, {
    controller: { hello: async () => ({ protocol: 1, fleet: 'f' }) },
    agent: {
      receive: async () => sinkWith({ write: () => new Promise((resolve) => writes.push(resolve)) }),
    },
  });
  let arrived = 0;
  dialled.on('message', (_data, isBinary) => {
    if (isBinary) arrived += 1;
  });
  const sending = controller.send({ name: 'release/a', path, from: 0, size });
  for (let written = 0; written < 10; written++) {
    await until(dialled, () => arrived >= Math.min(10, written + CREDIT));
    // A question and its answer: what was on its way before is here now.
    await t.rejects(agent.ask('hello', null as never, WAIT), { code: 'bad_message' });
    t.equal(arrived, Math.min(10, written + CREDIT));
    t.equal(writes.length, written + 1, 'one write at a time');
    writes[written]!();
  }
  await sending;
});

t.test('a stream goes on from an offset after the socket was destroyed in the middle', async (t) => {
  const { path, content, size } = await fileOf(t, 5_000_000);
  const received = `${path}.received`;
  const first = await openPair(t, { agent: { receive: into(received) } });
  const broken = first.controller.send({
    name: 'release/a',
    path,
    from: 0,
    size,
    onProgress(done) {
      if (done > 2_000_000) first.dialled.terminate();
    },
  });
  await t.rejects(broken, { code: 'link_lost', message: /release\/a was interrupted/ });
  await first.agent.closed;
  const from = (await stat(received)).size;
  t.ok(from > 2_000_000 && from < size, `${from} bytes are there`);
  const second = await openPair(t, { agent: { receive: into(received) } });
  const progress: number[] = [];
  await second.controller.send({ name: 'release/a', path, from, size, onProgress: (d) => progress.push(d) });
  t.ok(progress[0]! > from && progress.length <= Math.ceil((size - from) / CHUNK), 'only the rest was sent');
  t.equal(digest(await readFile(received)), digest(content));
});

t.test('nothing left to send, and an empty file, are streams like others', async (t) => {
  const { path } = await fileOf(t, 1000);
  const calls: string[] = [];
  const { controller } = await openPair(t, {
    agent: {
      receive: async (name, from, size) => {
        calls.push(`${name} ${from} ${size}`);
        return sinkWith({ end: async () => void calls.push('end') });
      },
    },
  });
  await controller.send({ name: 'a', path, from: 1000, size: 1000 });
  await controller.send({ name: 'b', path, from: 0, size: 0 });
  t.same(calls, ['a 1000 1000', 'end', 'b 0 0', 'end']);
});

t.test('what a sink throws reaches the sender, and the session goes on', async (t) => {
  const { path, size } = await fileOf(t, 3 * CHUNK);
  const full = () => new FleetError('disk_full', 'no room in /srv', { next: 'Prune.', data: { free: 1 } });
  const aborted: string[] = [];
  const throwing = async () => {
    throw full();
  };
  const abort = async (error: FleetError) => {
    aborted.push(error.code);
    throw new Error('aborting fails too');
  };
  const { controller } = await openPair(t, {
    agent: {
      receive: async (name) => {
        if (name === 'receive') throw full();
        return sinkWith({ abort, ...(name === 'none' ? {} : { [name]: throwing }) });
      },
    },
  });
  for (const name of ['receive', 'write', 'end'])
    await t.rejects(
      controller.send({ name, path, from: 0, size }),
      { code: 'disk_full', message: 'no room in /srv', next: 'Prune.', data: { free: 1 } },
      name,
    );
  await controller.send({ name: 'none', path, from: 0, size });
  t.same(aborted, ['disk_full', 'disk_full']);
});

t.test('two streams at once share the line', async (t) => {
  const { path, size } = await fileOf(t, 40 * CHUNK);
  const order: string[] = [];
  const { agent, controller, dialled, accepted } = await openPair(t, {
    agent: { receive: async (name) => sinkWith({ write: async () => void order.push(name) }) },
    controller: { receive: async (name) => sinkWith({ write: async () => void order.push(name) }) },
  });
  const send = (end: typeof controller | typeof agent, name: string) =>
    end.send({ name, path, from: 0, size });
  await Promise.all([send(controller, 'a'), send(controller, 'b')]);
  const half = order.slice(0, 40).filter((name) => name === 'a').length;
  t.ok(half >= 10 && half <= 30, `${half} of the first 40 were of one of them`);
  // And in opposite directions, where both number their streams.
  await Promise.all([send(controller, 'c'), send(agent, 'd')]);
  t.equal(order.length, 160);
  const cancel = new FleetError('disk_full', 'no room');
  const refusing = await openPair(t, {
    agent: { receive: () => Promise.reject(cancel) },
    controller: { receive: async () => sinkWith({}) },
  });
  const both = await Promise.allSettled([send(refusing.controller, 'e'), send(refusing.agent, 'f')]);
  t.match(both, [{ status: 'rejected', reason: { code: 'disk_full' } }, { status: 'fulfilled' }]);
  t.equal(dialled.readyState + accepted.readyState, 2, 'both are open still');
});

t.test('the sender gives up: by its signal, its file, its own callback', async (t) => {
  const { path, size } = await fileOf(t, 20 * CHUNK);
  const aborted: FleetError[] = [];
  const { controller } = await openPair(t, {
    agent: { receive: async () => sinkWith({ abort: async (error) => void aborted.push(error) }) },
  });
  const cancel = new AbortController();
  const cancelled = controller.send({
    name: 'a',
    path,
    from: 0,
    size,
    signal: cancel.signal,
    onProgress: () => cancel.abort(new FleetError('aborted', 'by a person')),
  });
  await t.rejects(cancelled, { code: 'aborted', message: 'by a person' });
  const missing = controller.send({ name: 'a', path: `${path}.missing`, from: 0, size });
  await t.rejects(missing, { code: 'transfer_failed', message: /ENOENT/ });
  const short = controller.send({ name: 'a', path, from: 0, size: size + 1 });
  await t.rejects(short, { code: 'transfer_failed', message: /has 5242880 bytes, 5242881 were announced/ });
  const throwing = controller.send({
    name: 'a',
    path,
    from: 0,
    size,
    onProgress() {
      throw new Error('cannot draw');
    },
  });
  await t.rejects(throwing, { code: 'internal', message: 'cannot draw' });
  await t.rejects(controller.send({ name: 'a', path, from: 0, size, signal: AbortSignal.abort() }), {
    code: 'aborted',
  });
  // What was on its way to the receiver before this one is there after it.
  await controller.send({ name: 'a', path, from: size, size });
  t.match(aborted, [
    { code: 'aborted', message: 'by a person' },
    { code: 'internal', message: 'cannot draw' },
  ]);
});

t.test('a receiver that takes nothing fails the stream', async (t) => {
  const { path, size } = await fileOf(t, 10 * CHUNK);
  const { promise: aborted, resolve } = Promise.withResolvers<FleetError>();
  let release = () => {};
  const { controller } = await openPair(t, {
    controller: { progressMs: 100 },
    agent: {
      receive: async () =>
        sinkWith({
          write: () =>
            new Promise((written) => {
              release = written;
            }),
          abort: async (error) => resolve(error),
        }),
    },
  });
  await t.rejects(controller.send({ name: 'a', path, from: 0, size }), {
    code: 'transfer_failed',
    message: 'a: the receiver has taken nothing for 0.1 s',
  });
  release();
  t.match(await aborted, { code: 'transfer_failed' });
});

t.test('a receiver that is slow and steady does not', async (t) => {
  const { path, size } = await fileOf(t, 5 * CHUNK);
  const write = () => sleep(300);
  const { controller } = await openPair(t, {
    controller: { progressMs: 1000 },
    agent: { receive: async () => sinkWith({ write }) },
  });
  await controller.send({ name: 'a', path, from: 0, size });
});

t.test('chunks that are not what was announced end their stream and nothing else', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const write = (chunk: Buffer) => (chunk.length === 7 ? new Promise<void>(() => {}) : Promise.resolve());
  const controller = asController(accepted, { receive: async () => sinkWith({ write }) });
  const cancels: Array<{ stream: number; error: { code: string; message: string } }> = [];
  dialled.on('message', (data) => {
    const frame = JSON.parse(String(data));
    if (frame.type === 'cancel') cancels.push(frame);
  });
  const opening = (stream: number, from: number, size: number) =>
    dialled.send(JSON.stringify({ type: 'open', stream, name: `s${stream}`, from, size }));
  const chunk = (stream: number, offset: number, length: number) =>
    dialled.send(encodeChunk({ stream, offset, payload: Buffer.alloc(length) }));

  opening(1, 0, 100);
  chunk(1, 0, 10);
  chunk(1, 20, 10); // A gap.
  opening(3, 50, 100);
  chunk(3, 0, 10); // Not where it begins.
  opening(5, 0, 10);
  chunk(5, 0, 11); // Too long.
  opening(7, 0, 700);
  for (let i = 0; i <= CREDIT; i++) chunk(7, 7 * i, 7); // More than the credit.
  opening(9, 10, 5); // Begins behind its end.
  chunk(99, 0, 10); // Nobody's.
  await until(dialled, () => cancels.length === 5);
  t.strictSame(
    cancels.map(({ stream, error }) => `${error.code} ${error.message}`.replace(`s${stream}`, 'S')),
    [
      'transfer_failed S: a chunk at 20 where 10 was due',
      'transfer_failed S: a chunk at 0 where 50 was due',
      'transfer_failed S: more than the 10 bytes that were announced',
      `transfer_failed S: more than ${CREDIT} chunks without an acknowledgement`,
      'transfer_failed S: it begins behind its end',
    ],
  );
  for (let stream = 101; stream < 101 + 2 * 17; stream += 2) opening(stream, 0, 7);
  await until(dialled, () => cancels.length === 6);
  t.match(cancels[5], { stream: 133, error: { message: /more than 16 streams/ } });
  opening(101, 0, 7);
  t.match(await controller.closed, { message: /stream 101 is open already/ });
});

t.test('acknowledgements of what was not sent, and an end before the end, fail the stream', async (t) => {
  const { path, size } = await fileOf(t, 10 * CHUNK);
  for (const answer of ['ack', 'done']) {
    const { dialled, accepted } = await openSockets(t);
    const controller = asController(accepted);
    dialled.on('message', (data, isBinary) => {
      if (isBinary) return;
      const { type, stream } = JSON.parse(String(data));
      if (type === 'open')
        dialled.send(JSON.stringify({ type: answer, stream, ...(answer === 'ack' && { offset: size }) }));
    });
    await t.rejects(controller.send({ name: 'a', path, from: 0, size }), { code: 'transfer_failed' }, answer);
  }
});

t.test('an end that takes no streams says so', async (t) => {
  const { path, size } = await fileOf(t, 10);
  const { dialled, accepted } = await openSockets(t);
  asAgent(dialled);
  await t.rejects(asController(accepted).send({ name: 'a', path, from: 0, size }), {
    code: 'unknown_method',
  });
});
