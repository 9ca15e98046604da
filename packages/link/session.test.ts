import { once } from 'node:events';
import { encodeChunk, MAX_FRAME } from '@fleet/protocol/codec.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import type { WebSocket } from 'ws';
import { asController, helloFrom, openPair, openSockets } from './pair.fixture.ts';

const WAIT = { timeoutMs: 20_000 };

/** What comes over a bare socket, one frame a call. */
function reader(socket: WebSocket): () => Promise<Record<string, unknown>> {
  const frames: string[] = [];
  socket.on('message', (data) => frames.push(String(data)));
  return async () => {
    while (frames.length === 0) await once(socket, 'message');
    return JSON.parse(frames.shift()!);
  };
}

t.test('requests and replies, both ways at once, each answer to its own question', async (t) => {
  const held: Array<() => void> = [];
  const { agent, controller } = await openPair(t, {
    controller: { hello: async ({ freeDisk }) => ({ protocol: freeDisk, fleet: 'f' }) },
    agent: {
      handlers: {
        // Answered only when all have come, the last first.
        'log.read': async ({ service, lines }) => {
          await new Promise<void>((resolve) => {
            held.push(resolve);
            if (held.length === 20) for (const release of held.reverse()) release();
          });
          return { text: `${service} ${lines}`, cursor: '' };
        },
      },
    },
  });
  const asked = Array.from({ length: 20 }, (_, i) =>
    controller.ask('log.read', { service: 'segmenter', lines: i + 1 }, WAIT),
  );
  const greeted = Array.from({ length: 20 }, (_, i) =>
    agent.ask('hello', helloFrom('a', { freeDisk: i }), WAIT),
  );
  for (const [i, { text }] of (await Promise.all(asked)).entries()) t.equal(text, `segmenter ${i + 1}`);
  for (const [i, { protocol }] of (await Promise.all(greeted)).entries()) t.equal(protocol, i);
});

t.test('errors arrive with their code, next and data', async (t) => {
  const failures: unknown[] = [
    new FleetError('start_failed', 'segmenter did not start', {
      next: 'Look at its log.',
      data: { exit: 3 },
    }),
    new TypeError('no such thing'),
    new FleetError('hook_failed', 'not JSON', { data: { big: 1n } }),
    new FleetError('hook_failed', 'too much', { data: { output: 'x'.repeat(MAX_FRAME) } }),
  ];
  const { controller } = await openPair(t, {
    agent: {
      handlers: {
        'step.report': async () => {
          throw failures.shift();
        },
        'log.read': async () => ({ text: 'x'.repeat(MAX_FRAME), cursor: '' }),
      },
    },
  });
  const ask = () => controller.ask('step.report', { service: 'segmenter' }, WAIT);
  const first = { code: 'start_failed', message: 'segmenter did not start', next: 'Look at its log.' };
  await t.rejects(ask(), { ...first, data: { exit: 3 } });
  await t.rejects(ask(), { code: 'internal', message: 'no such thing' });
  await t.rejects(ask(), { code: 'hook_failed', message: 'not JSON', data: {} });
  await t.rejects(ask(), { code: 'hook_failed', message: 'too much', data: {} });
  // An answer that no frame can carry is an error, and not the end of the connection.
  const large = controller.ask('log.read', { service: 'segmenter', lines: 1 }, WAIT);
  await t.rejects(large, { code: 'internal', message: /more than 1048576 bytes/ });
});

t.test('an ask ends with its deadline or its signal, and the late answer is dropped', async (t) => {
  const { promise: answer, resolve } = Promise.withResolvers<void>();
  const { controller } = await openPair(t, {
    agent: {
      handlers: {
        'log.read': async ({ lines }) => {
          if (lines > 1) await answer;
          return { text: String(lines), cursor: '' };
        },
      },
    },
  });
  const ask = (lines: number, options: { timeoutMs: number; signal?: AbortSignal }) =>
    controller.ask('log.read', { service: 'segmenter', lines }, options);
  await t.rejects(ask(2, { timeoutMs: 10 }), { code: 'timeout', message: /log\.read/ });
  const cancel = new AbortController();
  const cancelled = ask(3, { ...WAIT, signal: cancel.signal });
  cancel.abort(new FleetError('aborted', 'somebody aborted the deployment'));
  await t.rejects(cancelled, { code: 'aborted', message: 'somebody aborted the deployment' });
  await t.rejects(ask(3, { ...WAIT, signal: AbortSignal.abort() }), { code: 'aborted' });
  resolve();
  t.equal((await ask(1, WAIT)).text, '1');
});

t.test('what the peer asks is checked, and a wrong question costs only its answer', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  asController(accepted, { hello: async () => ({ protocol: 1, fleet: 'f' }) });
  const next = reader(dialled);
  const ask = async (id: number, method: string, body: unknown) => {
    dialled.send(JSON.stringify({ type: 'request', id, method, body }));
    return next();
  };
  for (const method of ['nonsense', '__proto__', 'constructor'])
    t.match(await ask(1, method, {}), { type: 'error', id: 1, error: { code: 'unknown_method' } });
  t.match(await ask(2, 'hello', { host: 'UPPER' }), {
    type: 'error',
    id: 2,
    error: { code: 'bad_message', message: /hello does not decode: .*host/ },
  });
  t.match(await ask(3, 'hello', helloFrom('a')), { type: 'reply', id: 3, body: { protocol: 1 } });
});

t.test('a field that is not known passes in a hello, and nowhere else', async (t) => {
  const { agent, controller } = await openPair(t, {
    controller: { hello: async () => ({ protocol: 1, fleet: 'f', mood: 'well' }) },
    agent: { handlers: { 'log.read': async () => ({ text: '', cursor: '' }) } },
  });
  t.strictSame(await agent.ask('hello', { ...helloFrom('a'), gpus: 8 } as never, WAIT), {
    protocol: 1,
    fleet: 'f',
  });
  const read = { service: 'a', lines: 1 };
  t.match(await controller.ask('log.read', read, WAIT), { text: '' });
  await t.rejects(controller.ask('log.read', { ...read, gpus: 8 } as never, WAIT), { code: 'bad_message' });
});

t.test('a reply that does not decode is not believed', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const controller = asController(accepted);
  dialled.on('message', (data) => {
    const { id } = JSON.parse(String(data));
    dialled.send(JSON.stringify({ type: 'reply', id: 999, body: null }));
    dialled.send(JSON.stringify({ type: 'reply', id, body: { text: 1 } }));
  });
  await t.rejects(controller.ask('log.read', { service: 'a', lines: 1 }, WAIT), {
    code: 'bad_message',
    message: /the answer to log\.read does not decode: text/,
  });
});

t.test('too many questions at once are refused, not stored', async (t) => {
  const { controller } = await openPair(t, {
    agent: { handlers: { 'step.report': () => new Promise(() => {}) } },
  });
  const asked = Array.from({ length: 65 }, () => controller.ask('step.report', { service: 'a' }, WAIT));
  await t.rejects(Promise.race(asked), { code: 'bad_request' });
  controller.close('enough');
  await Promise.allSettled(asked);
});

const breaking: Array<[string, string | Buffer, RegExp]> = [
  ['not JSON', 'hello', /broke the protocol: a frame is not JSON/],
  ['an unknown type', '{"type":"order","id":1}', /broke the protocol: a frame does not decode/],
  ['an extra key', '{"type":"done","stream":2,"x":1}', /broke the protocol/],
  ['an empty chunk', encodeChunk({ stream: 1, offset: 0, payload: Buffer.alloc(0) }), /a binary frame of 12/],
  ['our own stream number', '{"type":"open","stream":2,"name":"x","from":0,"size":1}', /not the peer’s/],
  ['a frame too large', 'x'.repeat(MAX_FRAME + 1), /Max payload size exceeded/],
];
for (const [name, frame, why] of breaking)
  t.test(`${name} ends the session with that reason`, async (t) => {
    const { dialled, accepted } = await openSockets(t);
    const controller = asController(accepted);
    const asked = controller.ask('log.read', { service: 'a', lines: 1 }, WAIT);
    const closed = once(dialled, 'close');
    dialled.send(frame);
    await t.rejects(asked, { code: 'link_lost', message: /log\.read was not answered/ });
    t.match(await controller.closed, { code: 'link_lost', message: why });
    await closed;
  });

t.test('when the link is lost everything that waits hears of it', async (t) => {
  const { promise: started, resolve } = Promise.withResolvers<AbortSignal>();
  const { dialled, accepted, agent, controller } = await openPair(t, {
    agent: {
      handlers: {
        'step.report': (_, { signal }) => {
          resolve(signal);
          return new Promise(() => {});
        },
      },
    },
  });
  const asked = controller.ask('step.report', { service: 'a' }, WAIT);
  const signal = await started;
  dialled.terminate();
  await t.rejects(asked, { code: 'link_lost', message: /step\.report/ });
  if (!signal.aborted) await once(signal, 'abort');
  t.match(signal.reason, { code: 'link_lost' });
  t.match(await agent.closed, { code: 'link_lost' });
  t.match(await controller.closed, { code: 'link_lost', message: /connection was lost/ });
  await t.rejects(controller.ask('step.report', { service: 'a' }, WAIT), { code: 'link_lost' });
  t.equal(accepted.readyState, accepted.CLOSED);
});

t.test('close tells the peer why, and the first reason stays', async (t) => {
  const { agent, controller } = await openPair(t);
  const why = `replaced by a newer one ${'é'.repeat(100)}`;
  controller.close(why);
  controller.close('something else');
  t.equal((await controller.closed).message, why);
  t.match(await agent.closed, {
    code: 'link_lost',
    message: /^closed by the peer: replaced by a newer one é+$/,
  });
});

t.test('a peer that does not read its answers is cut off', async (t) => {
  const { dialled, accepted } = await openSockets(t);
  const controller = asController(accepted, {
    hello: async () => ({ protocol: 1, fleet: 'x'.repeat(1_000_000) }),
  });
  dialled.pause();
  for (let id = 1; id <= 60; id++)
    dialled.send(JSON.stringify({ type: 'request', id, method: 'hello', body: helloFrom('a') }));
  t.match(await controller.closed, { code: 'link_lost', message: /does not read/ });
});
