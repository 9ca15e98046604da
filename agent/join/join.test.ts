/** A host that joins: whom it believes before it says anything, and what it keeps. */
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { dial } from '@fleet/link/dial.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { readJoinString, writeJoinString } from '@fleet/trust/joinString.ts';
import { makeTlsKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { clientOptions, validity } from '@fleet/trust/tls.ts';
import t from 'tap';
import { DAY_MS, dialAs, openGates } from '../../test/fixtures/identities.ts';
import { openCertificate } from '../trust/certificate.ts';
import { readJoined } from '../trust/joined.ts';
import { openTrust } from '../trust/trust.ts';
import { type JoinOptions, joinFleet } from './join.ts';

const host = (dir: string, more: Partial<JoinOptions> & { string: string }): JoinOptions => ({
  host: 'web-1',
  data: join(dir, 'agent'),
  again: false,
  admitLabels() {},
  now: Date.now,
  onWaiting() {},
  signal: AbortSignal.timeout(60_000),
  ...more,
});

t.test('it keeps its key, who may sign, and where to go; all of it is its own', async (t) => {
  const gates = await openGates(t);
  const joined = await joinFleet(host(gates.dir, { string: await gates.stringOf() }));
  t.match(joined, {
    host: 'web-1',
    labels: { role: 'web' },
    agents: `wss://127.0.0.1:${gates.agentsPort}/agent`,
  });
  const folder = join(gates.dir, 'agent/trust');
  for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  t.match(openTrust(folder, 'web-1').says(), { serial: 1, level: 'L0' });
  t.notOk(JSON.stringify(gates.asked).includes('PRIVATE'), 'the key stays here');
  const certificate = openCertificate(joined, Date.now);
  const { ca, cert, key } = await certificate.tls();
  const { session } = await dialAs(gates, { ca, cert: cert!, key: key! }, { host: 'web-1' });
  t.notOk(await certificate.renew(session), 'half of its life is not over');
  session.close('enough');
  await t.rejects(joinFleet(host(gates.dir, { string: await gates.stringOf() })), {
    message: /joined as web-1 already/,
  });
  await gates.enrolment.end('web-1', 'forgotten', 'ann');
  t.not(
    (await joinFleet(host(gates.dir, { string: await gates.stringOf(), again: true }))).certificate(),
    cert,
    'again, with another key',
  );
});

t.test('a false controller does not see the token, nor a thing that is signed', async (t) => {
  const gates = await openGates(t);
  const other = await openGates(t);
  const string = readJoinString(await gates.stringOf());
  const heard: Buffer[] = [];
  const tls = await other.trust.controllerTls();
  // It has an authority of its own, and hears in clear whatever is said to it.
  const server = createTlsServer({ ...tls, cert: `${tls.cert}\n${other.trust.authority.pem}` }, (socket) => {
    socket.on('data', (data) => heard.push(data)).on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const lured = writeJoinString({ ...string, url: `https://127.0.0.1:${port}` });
  await t.rejects(joinFleet(host(gates.dir, { string: lured })), { code: 'wrong_authority' });
  t.equal(Buffer.concat(heard).length, 0, 'it hears nothing');

  // One that shows the right authority's certificate, which anybody can have, and has none of its own from it.
  const shown = createTlsServer({ ...tls, cert: `${tls.cert}\n${gates.trust.authority.pem}` }, (socket) => {
    socket.on('data', (data) => heard.push(data)).on('error', () => {});
    socket.end(`HTTP/1.1 400 x\r\nDate: ${new Date().toUTCString()}\r\nContent-Length: 0\r\n\r\n`);
  });
  shown.on('tlsClientError', () => {});
  await once(shown.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => shown.close());
  const posing = writeJoinString({
    ...string,
    url: `https://127.0.0.1:${(shown.address() as { port: number }).port}`,
  });
  await t.rejects(joinFleet(host(gates.dir, { string: posing })));
  t.notOk(Buffer.concat(heard).includes(string.token));
  t.match(
    await joinFleet(host(gates.dir, { string: writeJoinString(string) })),
    { host: 'web-1' },
    'the token is still good',
  );
});

t.test(
  'a controller whose root key is another one is not believed, though its authority is right',
  async (t) => {
    const gates = await openGates(t);
    const string = writeJoinString({ ...readJoinString(await gates.stringOf()), root: '0'.repeat(64) });
    await t.rejects(joinFleet(host(gates.dir, { string })), {
      code: 'wrong_authority',
      message: /another root key/,
    });
    t.equal(readJoined(join(gates.dir, 'agent/trust')), undefined);
  },
);

t.test('a clock that is off by a day is told, with both times, and the token is kept', async (t) => {
  const gates = await openGates(t);
  const string = await gates.stringOf();
  for (const off of [-DAY_MS, DAY_MS])
    await t.rejects(joinFleet(host(gates.dir, { string, now: () => Date.now() + off })), {
      code: 'clock_off',
      message: /it is \d{4}-\S+ on this host, and \d{4}-\S+ where the controller is/,
      next: /timedatectl/,
    });
  t.match(await gates.store.joinTokens.list(), [{ used: 0 }]);
});

t.test('labels that the host’s own policy does not take are refused before the token is spent', async (t) => {
  const gates = await openGates(t);
  const admitLabels = () => {
    throw new FleetError('policy_refused', 'web-1 does not take the label role=web');
  };
  await t.rejects(joinFleet(host(gates.dir, { string: await gates.stringOf(), admitLabels })), {
    code: 'policy_refused',
  });
  t.match(await gates.store.joinTokens.list(), [{ used: 0 }]);
  t.strictSame(gates.asked, []);
});

t.test('it waits until somebody lets it in', async (t) => {
  const gates = await openGates(t);
  const waits = Promise.withResolvers<string>();
  const joining = joinFleet(
    host(gates.dir, { string: await gates.stringOf({ approve: true }), onWaiting: waits.resolve }),
  );
  t.equal(await waits.promise, 'web-1');
  t.equal(readJoined(join(gates.dir, 'agent/trust')), undefined, 'with nothing in its hands');
  await gates.enrolment.approve('web-1');
  t.match(await joining, { host: 'web-1' });
});

t.test('a host that was turned away while it waited joins with another token', async (t) => {
  const gates = await openGates(t);
  const waits = Promise.withResolvers<string>();
  const onWaiting = (_host: string, key: string) => waits.resolve(key);
  const joining = joinFleet(host(gates.dir, { string: await gates.stringOf({ approve: true }), onWaiting }));
  joining.catch(() => {});
  const key = await waits.promise;
  t.match(await gates.enrolment.listIdentities(), [{ host: 'web-1', key }], 'whoever lets it in can compare');
  await gates.enrolment.end('web-1', 'forgotten', 'ann');
  await t.rejects(joining, { code: 'not_enrolled', message: /web-1 was forgotten/ });
  t.match(await joinFleet(host(gates.dir, { string: await gates.stringOf() })), { host: 'web-1' });
  t.notOk(
    readdirSync(join(gates.dir, 'agent')).some((name) => name.startsWith('joining')),
    'no key is left over',
  );
});

t.test(
  'its certificate is renewed over the link at half of its life, and by signature after its end',
  async (t) => {
    const gates = await openGates(t);
    const joined = await joinFleet(host(gates.dir, { string: await gates.stringOf() }));
    const certificate = openCertificate(joined, () => gates.clock.now);
    const { ca, cert, key } = await certificate.tls();
    const { session } = await dialAs(gates, { ca, cert: cert!, key: key! }, { host: 'web-1' });
    gates.clock.now += 3 * DAY_MS;
    t.notOk(await certificate.renew(session));
    gates.clock.now += DAY_MS;
    t.ok(await certificate.renew(session));
    t.ok(validity(joined.certificate()).to > gates.clock.now + 6 * DAY_MS);
    session.close('it goes away for ten days');
    gates.clock.now += 10 * DAY_MS;
    t.not((await certificate.tls()).cert, cert);
    t.ok(validity(joined.certificate()).to > gates.clock.now);
    gates.clock.now += 10 * DAY_MS;
    await gates.enrolment.end('web-1', 'revoked', 'ann');
    await t.rejects(certificate.tls(), { code: 'not_enrolled', message: /web-1 was revoked/ });
  },
);

t.test('a controller that is not believed any more: by its clock, or by its authority', async (t) => {
  const gates = await openGates(t);
  const other = await openGates(t);
  const joined = await joinFleet(host(gates.dir, { string: await gates.stringOf() }));
  const { ca, cert, key } = await openCertificate(joined, Date.now).tls();
  gates.clock.now += DAY_MS;
  for (const [code, { trust }] of Object.entries({ clock_off: gates, wrong_authority: other })) {
    const keys = makeTlsKey();
    const server = createTlsServer({
      cert: await trust.authority.issueController(publicText(keys.publicKey)),
      key: privatePem(keys.privateKey),
    });
    server.on('tlsClientError', () => {});
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as { port: number };
    const stop = new AbortController();
    const told: object[] = [];
    const warn = (said: object) => {
      told.push(said);
      stop.abort();
    };
    await dial({
      url: `wss://127.0.0.1:${port}/agent`,
      tls: async () => clientOptions({ ca, cert: cert!, key: key! }),
      connect: () => Promise.reject(new Error('never called')),
      log: { debug() {}, info() {}, warn },
      signal: stop.signal,
    });
    t.match(told, [{ code, next: code === 'clock_off' ? /timedatectl/ : /fleet agent join --again/ }]);
    const late = { ...joined, url: `https://127.0.0.1:${port}` };
    await t.rejects(openCertificate(late, () => Date.now() + 8 * DAY_MS).tls(), { code });
  }
});

t.test('what is no controller at all', async (t) => {
  const gates = await openGates(t);
  const plain = createServer((socket: Socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(plain, 'listening');
  t.teardown(() => plain.close());
  const url = `https://127.0.0.1:${(plain.address() as { port: number }).port}`;
  await t.rejects(joinFleet(host(gates.dir, { string: await gates.stringOf({ url }) })), {
    code: 'controller_unreachable',
  });
  await t.rejects(joinFleet(host(gates.dir, { string: (await gates.stringOf()).slice(0, -9) })), {
    code: 'bad_request',
  });
  t.notOk(readdirSync(gates.dir).includes('agent') && readdirSync(join(gates.dir, 'agent')).join());
});
