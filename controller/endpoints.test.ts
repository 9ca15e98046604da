/** Who gets in where the controller listens, and who does not: over real sockets, with real certificates. */
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { clientOptions, validity } from '@fleet/trust/tls.ts';
import t from 'tap';
import { DAY_MS, dialAs, type Gates, openGates, STRANGERS } from '../test/fixtures/identities.ts';
import { CONTROLLER_MS } from './trust/authority.ts';

const WEB = { host: 'web-1' };
/** They learn nothing but an alert. */
const KEPT_OUT_BY_TLS = [
  'no certificate',
  'another authority’s',
  'self-signed with the same name',
  'the controller’s own',
  'expired',
];

t.test('a host that has joined is let in, with the labels of its token', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  const { session } = await dialAs(gates, tls, {
    ...WEB,
    labels: { role: 'database', environment: 'production' },
  });
  await gates.agents.whenConnected('web-1', AbortSignal.timeout(20_000));
  t.strictSame(
    gates.agents.hello('web-1')?.labels,
    { role: 'web' },
    'what it says of itself is not believed',
  );
  session.close('enough');
});

t.test('nobody else is', async (t) => {
  for (const [who, comes] of Object.entries(STRANGERS))
    await t.test(who, async (t) => {
      const gates = await openGates(t);
      const tls = await comes(gates);
      const error = await dialAs(gates, tls, WEB).then(
        () => t.fail('it is let in'),
        (refusal: Error & { code?: string }) => refusal,
      );
      const said = typeof error === 'object' && error.code === 'not_enrolled';
      t.equal(said, !KEPT_OUT_BY_TLS.includes(who), 'who has no certificate of ours is not even spoken to');
      t.notOk(gates.agents.isConnected('web-1'));
      t.strictSame(await gates.store.hosts.list(), [], 'and nothing is known of it');
    });
  await t.test('a certificate that has expired by the controller’s clock', async (t) => {
    const gates = await openGates(t);
    const { tls } = await gates.member('web-1');
    gates.clock.now += 7 * DAY_MS;
    await t.rejects(dialAs(gates, tls, WEB), { code: 'not_enrolled' });
  });
  await t.test('a page of some site, with a certificate', async (t) => {
    const gates = await openGates(t);
    const { tls } = await gates.member('web-1');
    await t.rejects(dialAs(gates, tls, WEB, { headers: { origin: 'https://127.0.0.1' } }), /status 403/);
  });
});

t.test('there is no plain port, and no older TLS', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  const people = Number(new URL(gates.url).port);
  for (const port of [people, gates.agentsPort]) {
    t.equal(
      await answerTo(port, `GET ${AGENT_PATH} HTTP/1.1\r\nHost: x\r\n\r\n`),
      '',
      'plain HTTP is not answered',
    );
    const old = connect({
      ...clientOptions(tls),
      port,
      host: '127.0.0.1',
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    });
    const [error] = (await once(old, 'error')) as [Error & { code: string }];
    t.match(error.code, /PROTOCOL_VERSION/);
  }
});

t.test('what is altered on the way is not taken, and learned from it is nothing', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  for (const at of [3, 60, 700, 2000]) {
    const seen: Buffer[] = [];
    const proxy = createServer((near) => {
      const far = createConnection({ port: gates.agentsPort, host: '127.0.0.1' });
      let passed = 0;
      for (const socket of [near, far]) socket.on('error', () => near.destroy() && far.destroy());
      near.on('data', (chunk: Buffer) => {
        seen.push(chunk);
        if (at >= passed && at < passed + chunk.length)
          chunk.writeUInt8(chunk.readUInt8(at - passed) ^ 1, at - passed);
        passed += chunk.length;
        far.write(chunk);
      });
      far.on('data', (chunk: Buffer) => near.write(seen.push(chunk) ? chunk : chunk));
      far.on('close', () => near.destroy());
      near.on('close', () => far.destroy());
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port: agentsPort } = proxy.address() as { port: number };
    await t.rejects(
      dialAs({ agentsPort }, tls, { ...WEB, labels: { role: 'canary' } }),
      `byte ${at} is another one`,
    );
    t.notOk(Buffer.concat(seen).includes('canary'));
    proxy.close();
  }
  t.notOk(gates.agents.isConnected('web-1'));
});

t.test('a host that is revoked loses its connection, and no session of before helps it', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  const ticket = await ticketOf(gates, tls);
  const resumed = connect({ ...clientOptions({ ca: tls.ca }), ...NEAR(gates), session: ticket });
  resumed.on('error', () => {});
  await once(resumed, 'secureConnect');
  t.ok(resumed.isSessionReused(), 'a session is resumed, with no certificate at all');
  resumed.destroy();

  const { session } = await dialAs(gates, tls, WEB);
  const began = performance.now();
  await gates.enrolment.end('web-1', 'revoked', 'ann');
  t.match((await session.closed).message, /web-1 was revoked/);
  t.comment(`closed after ${Math.round(performance.now() - began)} ms`);
  await t.rejects(dialAs(gates, tls, WEB), { code: 'not_enrolled' });
  await t.rejects(dialAs(gates, { ca: tls.ca }, WEB, { session: ticket }), { code: 'not_enrolled' });
});

t.test(
  'a host whose certificate expires while it is connected is swept out, unless it has renewed it',
  async (t) => {
    const gates = await openGates(t);
    const away = await dialAs(gates, (await gates.member('web-1')).tls, WEB);
    const near = await dialAs(gates, (await gates.member('web-2')).tls, { host: 'web-2' });
    gates.clock.now += 4 * DAY_MS;
    const { certificate } = await near.session.ask('identity.renew', {}, { timeoutMs: 20_000 });
    t.equal(validity(certificate).to, Math.floor((gates.clock.now + 7 * DAY_MS) / 1000) * 1000);
    gates.clock.now += 3 * DAY_MS;
    await gates.agents.sweep();
    t.match((await away.session.closed).message, /has expired/);
    t.ok(gates.agents.isConnected('web-2'));
  },
);

t.test('a copied key does not speak beside the first one', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  const { session } = await dialAs(gates, tls, WEB);
  await t.rejects(dialAs(gates, tls, WEB), { code: 'name_in_use' });
  t.ok(
    gates.said.some((line) => line.includes('name_in_use')),
    'and it is logged',
  );
  t.ok(gates.agents.isConnected('web-1'), 'the first one stays');
  await t.rejects(dialAs(gates, tls, { host: 'web-9' }), { code: 'not_enrolled' }, 'nor under another name');
  session.close('enough');
});

t.test('a crowd that never finishes its handshake keeps no host out', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('web-1');
  const { session: first } = await dialAs(gates, (await gates.member('web-2')).tls, { host: 'web-2' });
  const crowd: Socket[] = [];
  t.teardown(() => {
    for (const socket of crowd) socket.destroy();
  });
  for (let i = 0; i < 1000; i++) {
    const socket = createConnection({ port: gates.agentsPort, host: '127.0.0.1' });
    socket.on('error', () => {});
    // The beginning of a handshake: a record that is announced and does not come.
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
    crowd.push(socket);
  }
  await once(crowd.at(-1)!, 'connect');
  const began = performance.now();
  const { session } = await dialAs(gates, tls, WEB);
  t.comment(`let in after ${Math.round(performance.now() - began)} ms`);
  const open = await new Promise<number>((resolve) =>
    gates.endpoints.agents.getConnections((_, n) => resolve(n)),
  );
  t.ok(open <= 256 + 2, `${open} connections are kept`);
  await gates.agents.sweep();
  t.ok(gates.agents.isConnected('web-2'), 'who was there before stays');
  for (const each of [session, first]) each.close('enough');
});

t.test('the controller’s certificate is renewed at half of its life', async (t) => {
  const { trust, clock } = await openGates(t);
  const first = await trust.controllerTls();
  clock.now += CONTROLLER_MS / 2 - DAY_MS;
  t.equal((await trust.controllerTls()).cert, first.cert, 'not before');
  clock.now += 2 * DAY_MS;
  const second = await trust.controllerTls();
  t.not(second.cert, first.cert);
  t.equal(second.key, first.key);
});

t.test('an agent’s certificate does not make a controller', async (t) => {
  const gates = await openGates(t);
  const { tls } = await gates.member('controller');
  const { createServer: createTlsServer } = await import('node:tls');
  const server = createTlsServer({ cert: tls.cert, key: tls.key }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.on('tlsClientError', () => {});
  const socket = connect({ ...clientOptions({ ca: tls.ca }), host: '127.0.0.1', port });
  const [error] = (await once(socket, 'error')) as [Error & { code: string }];
  t.match(error.code, /INVALID_PURPOSE|ALTNAME/);
});

const NEAR = ({ agentsPort: port }: Gates) => ({ port, host: '127.0.0.1' });

async function ticketOf(gates: Gates, tls: Parameters<typeof clientOptions>[0]): Promise<Buffer> {
  const socket: TLSSocket = connect({ ...clientOptions(tls), ...NEAR(gates) });
  socket.on('error', () => {});
  const [ticket] = (await once(socket, 'session')) as [Buffer];
  socket.destroy();
  return ticket;
}

async function answerTo(port: number, bytes: string): Promise<string> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  let said = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    said += chunk;
  });
  socket.write(bytes);
  await once(socket, 'close');
  // At most a TLS alert.
  return said.startsWith('\x15') ? '' : said;
}
