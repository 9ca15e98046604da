import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { asAgent, asController, openSockets, type Teardown } from './pair.fixture.ts';

type Forward = (from: Socket, to: Socket, towards: 'agent' | 'controller') => void;

/** A TCP proxy that forwards by `forward` and leaves both connections open whatever happens. */
async function proxy(t: Teardown, url: string, forward: Forward): Promise<string> {
  const target = new URL(url);
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: Number(target.port), host: target.hostname, allowHalfOpen: true });
    for (const socket of [near, far]) sockets.push(socket.on('error', () => {}));
    forward(near, far, 'controller');
    forward(far, near, 'agent');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}${target.pathname}`;
}

t.test('a line that has gone silent is noticed at both ends, and an idle one is none', async (t) => {
  let silent = false;
  const { dialled, accepted } = await openSockets(t, (url) =>
    proxy(t, url, (from, to) => from.on('data', (data) => silent || to.write(data))),
  );
  const agent = asAgent(dialled, { heartbeatMs: 25 });
  const controller = asController(accepted, { heartbeatMs: 25 });
  let ended = false;
  void Promise.race([agent.closed, controller.closed]).then(() => {
    ended = true;
  });
  // Nobody says anything for three times as long as a silent peer is borne with.
  for (let pongs = 0; pongs < 12; pongs++) await once(dialled, 'pong');
  t.notOk(ended, 'pings keep it open');
  silent = true;
  for (const end of [agent, controller])
    t.match(await end.closed, { code: 'link_lost', message: 'nothing came from the peer for 0.075 s' });
  if (accepted.readyState !== accepted.CLOSED) await once(accepted, 'close');
});

t.test('a line in one direction only is noticed too', async (t) => {
  let silent = false;
  const { dialled, accepted } = await openSockets(t, (url) =>
    proxy(t, url, (from, to, towards) =>
      from.on('data', (data) => (silent && towards === 'controller') || to.write(data)),
    ),
  );
  const agent = asAgent(dialled, { heartbeatMs: 25 });
  const controller = asController(accepted, { heartbeatMs: 25 });
  await once(dialled, 'pong');
  silent = true;
  t.match(await controller.closed, { message: /nothing came from the peer/ });
  t.match(await agent.closed, { code: 'link_lost' });
});

t.test('a line so slow that one frame takes many heartbeats is not a silent one', async (t) => {
  let ticks = 0;
  const { dialled, accepted } = await openSockets(t, (url) =>
    proxy(t, url, (from, to) => {
      const waiting: Buffer[] = [];
      from.on('data', (data) => waiting.push(data));
      const timer = setInterval(() => {
        const all = Buffer.concat(waiting.splice(0));
        if (all.length > 2000) ticks += 1;
        to.write(all.subarray(0, 2000));
        if (all.length > 2000) waiting.push(all.subarray(2000));
      }, 10);
      from.once('close', () => clearInterval(timer));
    }),
  );
  asAgent(dialled, {
    heartbeatMs: 50,
    handlers: { 'log.read': async () => ({ text: 'x'.repeat(200_000), cursor: '' }) },
  });
  const controller = asController(accepted, { heartbeatMs: 50 });
  const { text } = await controller.ask('log.read', { service: 'a', lines: 1 }, { timeoutMs: 60_000 });
  t.equal(text.length, 200_000);
  t.ok(ticks > 4 * 5, 'the frame took longer than a silent peer is borne with');
});
