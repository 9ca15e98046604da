import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { balancerContract } from './contract.ts';
import { type HaproxyFixture, skipWithoutHaproxy, startHaproxy } from './haproxy.fixture.ts';
import { createHaproxy } from './haproxy.ts';
import { startAnswering, until } from './servers.fixture.ts';

const skip = skipWithoutHaproxy();
const NAMES = ['one', 'two', 'three'];

const driver = (address: string, timeout = 5000) => createHaproxy({ kind: 'haproxy', address, timeout });

async function haproxyWith(t: Test, backends: HaproxyFixture['backends']) {
  const haproxy = await startHaproxy({ backends, dir: t.testdir({}) });
  t.teardown(() => haproxy.stop());
  return haproxy;
}
async function answering(t: Test, names = NAMES) {
  const servers = await startAnswering(names);
  t.teardown(() => servers.stopAll());
  return servers;
}

/** Something at an address that is not quite HAProxy. */
async function impostor(t: Test, serve: (socket: net.Socket) => void): Promise<string> {
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

t.test('the contract', { skip }, (t) =>
  balancerContract(t, async (t) => {
    const servers = await answering(t, [...NAMES, 'newcomer']);
    const haproxy = await haproxyWith(t, [
      { name: 'web', servers: NAMES.map((name) => ({ name, port: servers.port(name) })) },
      { name: 'other', servers: [{ name: 'one', port: servers.port('one') }] },
    ]);
    return {
      balancer: driver(haproxy.socket),
      backend: 'web',
      serverNames: NAMES,
      url: `http://127.0.0.1:${haproxy.port}`,
      stopServer: servers.stop,
      startServer: servers.start,
      newcomer: {
        name: 'newcomer',
        address: `127.0.0.1:${servers.port('newcomer')}`,
        options: 'check inter 200ms rise 1 fall 2',
      },
    };
  }),
);

t.test('what it does not take in, it says how to write down', { skip }, async (t) => {
  const servers = await answering(t);
  const port = servers.port('one');
  const { socket } = await haproxyWith(t, [
    { name: 'web', servers: [{ name: 'one', port }] },
    { name: 'hashed', servers: [{ name: 'one', port }], balance: 'source' },
  ]);
  const balancer = driver(socket);
  const add = (backend: string, more: object) =>
    balancer.add(backend, { name: 'two', address: '127.0.0.1:80', options: 'check', ...more });
  const next = /below `backend (hashed|web)`: `server two \S+ check/;
  await t.rejects(add('hashed', {}), { code: 'balancer_refused', message: /dynamic load balancing/, next });
  await t.rejects(add('web', { address: 'web-2.example:80' }), { message: /no IP address/, next });
  await t.rejects(add('web', { options: 'check bogus' }), { message: /unknown keyword 'bogus'/, next });
  await t.rejects(add('web', { options: 'check;set server web/one state maint' }), {
    code: 'balancer_refused',
  });
  await t.rejects(add('web', { name: 'two one' }), { code: 'balancer_unknown' });
  await t.rejects(add('web', { address: '127.0.0.1:80\nset server web/one state maint' }), {
    code: 'balancer_refused',
  });
  t.match(await balancer.servers('web'), [{ name: 'one', admin: 'ready' }]);
  await balancer.add('web', { name: 'silent', address: '127.0.0.1:1', options: 'check inter 200ms' });
  await balancer.set('web', 'silent', 'ready');
  t.match((await balancer.servers('web'))[1], { name: 'silent', admin: 'ready', up: false }, 'it is checked');
});

t.test('what HAProxy says is read as what it means', { skip }, async (t) => {
  const servers = await answering(t);
  const port = servers.port('one');
  const { socket } = await haproxyWith(t, [
    {
      name: 'web',
      servers: [
        { name: 'plain', port },
        { name: 'disabled', port, options: 'disabled' },
        { name: 'weightless', port, options: 'weight 0' },
        { name: 'unchecked', port, options: 'no-check' },
        { name: 'follower', port, options: 'no-check track web/plain' },
        { name: 'silent', port: 1 },
      ],
    },
  ]);
  const balancer = driver(socket);
  const states = async () =>
    Object.fromEntries(
      (await balancer.servers('web')).map(({ name, admin, up }) => [name, `${admin} ${up ? 'up' : 'down'}`]),
    );
  // The first check of each has run.
  await until('all are known', async () => {
    const { plain, weightless, silent } = await states();
    return plain === 'ready up' && weightless === 'drain up' && silent === 'ready down';
  });
  t.match(await states(), { disabled: 'maint down', unchecked: 'ready up', follower: 'ready up' });

  await balancer.set('web', 'plain', 'maint');
  t.match((await states()).follower, /^maint/, 'maintenance is inherited by a server that tracks another');
  await balancer.set('web', 'plain', 'ready');
  await balancer.set('web', 'disabled', 'ready');
  t.match((await states()).disabled, /^ready/, 'although the configuration says disabled for good');
});

t.test('back from maintenance, a server is not up before a check has looked at it', { skip }, async (t) => {
  const servers = await answering(t);
  const { port, socket } = await haproxyWith(t, [
    // After the first check, none runs for as long as this test does.
    { name: 'web', servers: [{ name: 'one', port: servers.port('one'), options: 'inter 1h' }] },
  ]);
  const balancer = driver(socket);
  const state = async () => (await balancer.servers('web'))[0]!;
  await until('the first check has run', async () => (await state()).up);
  await balancer.set('web', 'one', 'maint');
  await balancer.set('web', 'one', 'ready');
  t.match(await state(), { admin: 'ready', up: false });
  t.equal((await fetch(`http://127.0.0.1:${port}`)).status, 200, 'although users are sent there');
});

t.test('over TCP', { skip }, async (t) => {
  const servers = await answering(t);
  const { socket } = await haproxyWith(t, [
    { name: 'web', servers: [{ name: 'one', port: servers.port('one') }] },
  ]);
  const address = await impostor(t, (client) => {
    const far = net.connect(socket);
    far.on('error', () => client.destroy());
    client.pipe(far).pipe(client);
  });
  await driver(address).set('web', 'one', 'drain');
  t.match(await driver(address).servers('web'), [{ name: 'one', admin: 'drain' }]);
});

t.test('a socket that may only look', { skip }, async (t) => {
  const servers = await answering(t);
  const { operatorSocket } = await haproxyWith(t, [
    { name: 'web', servers: [{ name: 'one', port: servers.port('one') }] },
  ]);
  await t.rejects(driver(operatorSocket).set('web', 'one', 'drain'), {
    code: 'balancer_refused',
    message: /Permission denied/,
    next: /level admin/,
  });
});

t.test('a HAProxy that cannot be asked', async (t) => {
  // Not t.testdir(): the whole path of a socket has room for 107 characters.
  const dir = await mkdtemp(path.join(os.tmpdir(), 'haproxy-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(path.join(dir, 'file'), '');
  const unreachable = (why: RegExp) => ({ code: 'balancer_unreachable', message: why, next: /stats socket/ });
  const both = async (address: string, why: RegExp, timeout?: number) => {
    await t.rejects(driver(address, timeout).servers('web'), unreachable(why));
    await t.rejects(driver(address, timeout).set('web', 'one', 'drain'), unreachable(why));
  };
  await both(path.join(dir, 'missing.sock'), /no such socket/);
  await both(path.join(dir, 'file'), /nothing listens/);
  await both(path.join(dir, 'a'.repeat(120)), /longer than a socket's may be/);
  await both('127.0.0.1:1', /nothing listens/);
  await both(await impostor(t, () => {}), /did not answer within 100 ms/, 100);
  await both(await impostor(t, (socket) => socket.end()), /before its answer .* was complete/);
  await both(
    await impostor(t, (socket) => socket.end('1\n# be_id be_na')),
    /before its answer .* was complete/,
  );
});

t.test('something else that answers', async (t) => {
  const address = await impostor(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await t.rejects(driver(address).servers('web'), { code: 'balancer_refused', message: /400 Bad Request/ });
  await t.rejects(driver(address).set('web', 'one', 'drain'), { code: 'balancer_refused' });
});
