import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { balancerContract } from './contract.ts';
import type { Route } from './embedded/pool.ts';
import { createEmbedded } from './embedded.ts';
import { startAnswering, until } from './servers.fixture.ts';

const NAMES = ['one', 'two', 'three'];

async function begin(t: Test, options: { routes: () => Route[]; stateDir?: string; listen?: string }) {
  const { routes, stateDir = t.testdir({}), listen = '127.0.0.1:0' } = options;
  const balancer = await createEmbedded({ kind: 'embedded', listen }, { stateDir, name: 'front', routes });
  t.teardown(() => balancer.close());
  return { balancer, stateDir, url: `http://${balancer.address}` };
}
async function answering(t: Test, names = NAMES) {
  const servers = await startAnswering(names);
  t.teardown(() => servers.stopAll());
  const routes = (backend = 'web') =>
    names.map((server) => ({ backend, server, address: `127.0.0.1:${servers.port(server)}` }));
  return { servers, routes };
}
/** A server inside this process, for what a well-behaved one does not do. */
async function odd(t: Test, serve: (socket: net.Socket) => void): Promise<string> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}
const text = async (url: string, init?: RequestInit) => (await fetch(url, init)).text();

t.test('the contract', (t) =>
  balancerContract(t, async (t) => {
    const { servers, routes } = await answering(t);
    const { balancer, url } = await begin(t, { routes });
    return {
      balancer,
      backend: 'web',
      serverNames: NAMES,
      url,
      stopServer: servers.stop,
      startServer: servers.start,
    };
  }),
);

t.test('hosts that were hidden stay hidden when the controller starts again', async (t) => {
  const { routes } = await answering(t);
  const first = await begin(t, { routes });
  await Promise.all([
    first.balancer.set('web', 'one', 'drain'),
    first.balancer.set('web', 'two', 'maint'),
    first.balancer.set('web', 'three', 'maint'),
  ]);
  await first.balancer.set('web', 'three', 'ready');
  const { address } = first.balancer;
  await first.balancer.close();
  const { balancer, url } = await begin(t, { routes, stateDir: first.stateDir, listen: address });
  t.strictSame(
    (await balancer.servers('web')).map(({ admin }) => admin),
    ['drain', 'maint', 'ready'],
  );
  t.equal(await text(url), 'three');
});

t.test('a damaged state file is not taken for "nobody is hidden"', async (t) => {
  const stateDir = t.testdir({});
  const file = path.join(stateDir, 'balancer-front.json');
  for (const damaged of ['', '{"web/one": "drai', '{"web/one": "hidden"}']) {
    writeFileSync(file, damaged);
    const made = createEmbedded(
      { kind: 'embedded', listen: '127.0.0.1:0' },
      { stateDir, name: 'front', routes: () => [] },
    );
    await t.rejects(made, { code: 'bad_config', message: /damaged/, next: /remove the file/ });
    t.equal(readFileSync(file, 'utf8'), damaged);
  }
});

t.test('an address in use', async (t) => {
  const taken = await odd(t, () => {});
  await t.rejects(begin(t, { routes: () => [], listen: taken }), {
    code: 'port_in_use',
    message: new RegExp(taken),
    next: /listen/,
  });
});

t.test('hosts come, move and go', async (t) => {
  const { servers, routes } = await answering(t);
  let now: Route[] = [];
  const { balancer, url } = await begin(t, { routes: () => now });
  await t.rejects(balancer.servers('web'), { code: 'balancer_unknown', message: /knows none/ });
  t.match(await text(url), /No host has a route/);

  now = routes().slice(0, 1);
  t.match(await balancer.servers('web'), [{ name: 'one', up: true }]);
  t.equal(await text(url), 'one');
  now = [{ backend: 'web', server: 'one', address: `127.0.0.1:${servers.port('two')}` }];
  t.match(await balancer.servers('web'), [{ name: 'one', up: true }]);
  t.equal(await text(url), 'two', 'it answers from the new address');
  now = [];
  await t.rejects(balancer.servers('web'), { code: 'balancer_unknown' });
});

t.test('of several backends the Host header names one', async (t) => {
  const { routes } = await answering(t, ['one', 'two']);
  const [one, two] = routes() as [Route, Route];
  const { url } = await begin(t, {
    routes: () => [
      { ...one, backend: 'shop' },
      { ...two, backend: 'blog' },
    ],
  });
  const asking = (host: string) =>
    new Promise<string>((resolve, reject) => {
      http
        .get(url, { headers: { host }, agent: false }, async (answer) => {
          let body = `${answer.statusCode} `;
          for await (const chunk of answer) body += chunk;
          resolve(body);
        })
        .on('error', reject);
    });
  t.equal(await asking('shop'), '200 one');
  t.equal(await asking('blog:8080'), '200 two');
  t.match(await asking('elsewhere'), /^404 Name the backend in the Host header: shop, blog/);
});

t.test('a server that breaks off', async (t) => {
  const { routes } = await answering(t, ['good']);
  let broken = 0;
  // It takes connections, so it is up, and closes each one when a request comes.
  const address = await odd(t, (socket) =>
    socket.on('data', () => {
      broken++;
      socket.destroy();
    }),
  );
  const { url } = await begin(t, {
    routes: () => [{ backend: 'web', server: 'bad', address }, ...routes()],
  });
  for (let n = 0; n < 6; n++) t.equal(await text(url), 'good', 'what may be asked twice is asked elsewhere');
  t.ok(broken > 0);
  const statuses = new Set<number>();
  for (let n = 0; n < 6; n++) statuses.add((await fetch(url, { method: 'POST', body: 'pay' })).status);
  t.strictSame([...statuses].sort(), [200, 502], 'a payment is not sent a second time');
});

t.test('a server that has died and is not yet known to have', async (t) => {
  const { servers, routes } = await answering(t);
  const { balancer, url } = await begin(t, { routes });
  await servers.stop('one');
  for (let n = 0; n < 6; n++) {
    const answer = await fetch(url, { method: 'POST', body: 'pay' });
    t.equal(answer.status, 200, 'nothing was sent to it, so it is sent elsewhere whatever it is');
    t.not(await answer.text(), 'one');
  }
  t.match(await balancer.servers('web'), [{ name: 'one', up: false }]);
  await servers.stop('two');
  await servers.stop('three');
  const none = await fetch(url);
  t.equal(none.status, 503);
  t.match(await none.text(), /No server of web/);
});

t.test('an answer that is cut short is not made to look whole', async (t) => {
  const address = await odd(t, (socket) =>
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', () => socket.destroy());
    }),
  );
  const { url, balancer } = await begin(t, { routes: () => [{ backend: 'web', server: 'bad', address }] });
  await t.rejects(text(url));
  await until('the session has ended', async () => (await balancer.servers('web'))[0]!.sessions === 0);
});

t.test('a client keeps its connection, whichever servers answer', async (t) => {
  const { routes } = await answering(t);
  const { url } = await begin(t, { routes });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  const connections = new Set<unknown>();
  const names = new Set<string>();
  for (let n = 0; n < 9; n++) {
    const request = http.get(url, { agent });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    connections.add(request.socket);
    for await (const chunk of response) names.add(String(chunk));
  }
  t.equal(connections.size, 1);
  t.equal(names.size, 3);
});

t.test('a client that goes away ends its session', async (t) => {
  const address = await odd(t, () => {});
  const { url, balancer } = await begin(t, { routes: () => [{ backend: 'web', server: 'slow', address }] });
  const sessions = async () => (await balancer.servers('web'))[0]!.sessions;
  const request = http.get(url, { agent: false });
  request.on('error', () => {});
  await until('the session is counted', async () => (await sessions()) === 1);
  request.destroy();
  await until('the session has ended', async () => (await sessions()) === 0);
});

t.test('a WebSocket is a session until either end closes it', async (t) => {
  const { servers, routes } = await answering(t, ['one']);
  const { balancer } = await begin(t, { routes });
  const [host, port] = balancer.address.split(':') as [string, string];
  const sessions = async () => (await balancer.servers('web'))[0]!.sessions;
  async function open(options: { allowHalfOpen?: boolean } = {}) {
    const client = net.connect({ port: Number(port), host, ...options });
    client.on('error', () => {});
    client.write(
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n',
    );
    let said = '';
    client.on('data', (chunk) => {
      said += chunk;
    });
    await until('it is upgraded', () => said.endsWith('\r\n\r\none'));
    t.match(said, /^HTTP\/1.1 101/);
    return client;
  }
  const leaving = await open();
  t.equal(await sessions(), 1);
  leaving.destroy();
  await until('the session has ended', async () => (await sessions()) === 0);

  const left = await open();
  await balancer.set('web', 'one', 'drain');
  t.equal(await sessions(), 1, 'a drain does not end it');
  const closed = once(left, 'close');
  await servers.stop('one');
  await closed;
  await until('the session has ended', async () => (await sessions()) === 0);

  await servers.start('one');
  await balancer.set('web', 'one', 'ready');
  await until('it is up', async () => (await balancer.servers('web'))[0]!.up);
  const stubborn = await open({ allowHalfOpen: true });
  await servers.stop('one');
  await until('the session has ended', async () => (await sessions()) === 0);
  stubborn.destroy();

  await servers.start('one');
  await until('it is up', async () => (await balancer.servers('web'))[0]!.up);
  const staying = await open();
  const cut = once(staying, 'close');
  await balancer.close();
  await cut;
});
