/** A person and the controller, over TLS: the program as it is typed, against the API as it is served. */
import { chmodSync, readFileSync, statSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { guard } from '@fleet/controller/api/edge.fixture.ts';
import { fleets, NEW } from '@fleet/controller/deploy/fleet.fixture.ts';
import { openEndpoints } from '@fleet/controller/endpoints.ts';
import { openTrust, type Trust } from '@fleet/controller/trust/folder.ts';
import { makeTrust } from '@fleet/controller/trust/make.ts';
import { readJoinString, writeJoinString } from '@fleet/trust/joinString.ts';
import { TLS_13 } from '@fleet/trust/tls.ts';
import t, { type Test } from 'tap';
import { LAUNCHER, runFleet, startFleet } from './fleetProgram.ts';

const makeFleet = await fleets(t);
const DAY_MS = 24 * 60 * 60 * 1000;

async function trustOf(t: Test, now = Date.now()): Promise<Trust> {
  const dir = t.testdir();
  const data = join(dir, 'data');
  await makeTrust(data, join(dir, 'controller.yaml'), now);
  return openTrust(data, () => now, 'controller.yaml');
}

/** A controller over TLS, and a person who may log in to it. */
async function controller(t: Test, { now }: { now?: number } = {}) {
  const trust = await trustOf(t, now);
  const { people, close } = await openEndpoints({ listen: '127.0.0.1:0' }, trust);
  t.teardown(close);
  const fleet = await makeFleet(t);
  const guarded = await guard(t, fleet, people);
  const url = `https://127.0.0.1:${guarded.port}`;
  const stringOf = (token: string, more: { url?: string; ca?: string } = {}) =>
    writeJoinString({ url, token, ca: trust.caKeyId, root: 'a'.repeat(64), ...more });
  const home = t.testdir({ home: {} });
  const environment = { HOME: join(home, 'home') };
  const run = (...argv: string[]) => runFleet(argv, { environment });
  const login = async (string: string) => {
    const logging = startFleet(['login'], { environment, typing: true });
    logging.child.stdin.end(`${string}\n`);
    return logging.ended;
  };
  const file = join(home, 'home/.config/fleet/login.json');
  return { ...guarded, trust, url, stringOf, environment, run, login, file };
}

/** Somebody else's server, and all that was asked of it. */
async function eavesdropper(t: Test, make: (listener: RequestListener) => Server) {
  const heard: string[] = [];
  const server = make((request, response) => {
    heard.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  return { heard, port: (server.address() as AddressInfo).port };
}

t.test('in, and out again', async (t) => {
  const on = await controller(t);
  const token = await on.give('admin', { name: 'ann' });
  t.match(await on.run('whoami', '--controller', on.url), { status: 3, stderr: /nobody is logged in here/ });
  t.match(await on.login(on.stringOf(token)), {
    status: 0,
    stdout: /^logged in at https:.* as ann: admin, everywhere, until/,
  });
  t.equal(statSync(on.file).mode & 0o777, 0o600);
  t.match(await on.run('whoami'), { status: 0, stdout: /^ann: admin, everywhere/ });

  const added = await on.run(
    'people',
    'add',
    'ci',
    '--role',
    'deployer',
    '--service',
    'segmenter',
    '-e',
    'production',
  );
  t.match(added, { status: 0, stderr: /ci may log in until/ });
  t.match(readJoinString(added.stdout.trim()), { url: on.url, ca: on.trust.caKeyId, token: /^fleet_/ });
  t.match(await on.run('people', 'add', 'ci', '--role', 'viewer'), {
    status: 2,
    stderr: /ci has a token already/,
  });
  t.match(
    (await on.run('people', 'list')).stdout,
    /^ann .*\nci +deployer +segmenter +production +until .* never used +given by ann$/m,
  );

  await on.run('deploy', 'segmenter', '--version', NEW, '--no-wait');
  await (await on.fleet.controller()).deployer.idle();
  t.match((await on.run('history')).stdout, / ann$/m, 'the history says who by the token');
  const audit = await on.run('audit', '--who', 'ann');
  t.match(audit.stdout, /ann {2}127\.0\.0\.1 {2}deployments\.start {2}asked +service=segmenter/);
  t.match(audit.stdout, /deployments\.start {2}done +asked=\d+ id=2/);
  t.match(audit.stdout, /people\.add +asked +environments=\["production"\] name=ci/);
  t.notMatch(audit.stdout, token.slice(23));
  t.match(await on.run('audit', 'verify'), { status: 0, stdout: /rows, each as it was written/ });
  const head = (await on.run('audit', 'head')).stdout.trim();
  t.match(await on.run('audit', 'verify', '--head', head), { status: 0 });
  const wrong = `${head.split(':')[0]}:${'0'.repeat(64)}`;
  t.match(await on.run('audit', 'verify', '--head', wrong), {
    status: 1,
    stderr: /has not the hash that was noted/,
  });

  t.match(await on.run('people', 'revoke', 'ann'), { status: 0, stderr: /ann gave tokens to ci/ });
  t.match(await on.run('whoami'), {
    status: 3,
    stderr: /no token, or one that is unknown, expired or revoked/,
  });
  t.match(await on.run('logout'), { status: 0 });
  t.throws(() => statSync(on.file));
});

t.test('the token is in no command line', async (t) => {
  const on = await controller(t);
  const token = await on.give('viewer', { name: 'ann' });
  const logging = startFleet(['login'], { environment: on.environment, typing: true });
  logging.child.stdin.write(on.stringOf(token));
  const lines = new Set([readFileSync(`/proc/${logging.child.pid}/cmdline`, 'utf8')]);
  logging.child.stdin.end();
  t.match(await logging.ended, { status: 0 });
  const watching = startFleet(['attach', '1', '--json'], { environment: on.environment });
  lines.add(readFileSync(`/proc/${watching.child.pid}/cmdline`, 'utf8'));
  await watching.ended;
  t.ok([...lines].every((line) => line.includes(LAUNCHER)));
  for (const line of lines) t.notOk(line.includes(token.slice(23)), line);
});

t.test('programs can do without a file of their own', async (t) => {
  const on = await controller(t);
  const token = await on.give('viewer', { name: 'ci' });
  const ca = join(t.testdir({ 'ca.pem': on.trust.authority.pem }), 'ca.pem');
  const environment = { ...on.environment, FLEET_CONTROLLER: on.url, FLEET_TOKEN: token, FLEET_CA: ca };
  t.match(await runFleet(['whoami'], { environment }), { status: 0, stdout: /^ci: viewer/ });
  t.match(await runFleet(['whoami'], { environment: { ...environment, FLEET_CA: undefined } }), {
    status: 2,
    stderr: /FLEET_TOKEN and FLEET_CA go together/,
  });
});

t.test('a token goes to nobody but the controller that was named', async (t) => {
  const on = await controller(t);
  const token = await on.give('viewer', { name: 'ann' });
  const other = await trustOf(t);
  const { cert, key } = await other.controllerTls();
  const tls = (chain: string[]) => (listener: RequestListener) =>
    createServer({ ...TLS_13, key, cert: chain.join('\n') }, listener);
  const others = {
    'another authority': tls([cert, other.authority.pem]),
    'another authority, with the certificate of the right one beside': tls([cert, on.trust.authority.pem]),
    both: tls([cert, other.authority.pem, on.trust.authority.pem]),
    'no authority': tls([cert]),
    'a plain server': createPlainServer,
  };
  for (const [who, make] of Object.entries(others)) {
    const { heard, port } = await eavesdropper(t, make);
    const string = on.stringOf(token, { url: `https://127.0.0.1:${port}` });
    const { status, stderr } = await on.login(string);
    t.ok(who === 'a plain server' ? status === 4 : status === 3, `${who}: ${status} ${stderr}`);
    if (status === 3) t.match(stderr, /is not the controller/, who);
    t.strictSame(heard, [], who);
    t.throws(() => statSync(on.file), 'and nothing is kept');
  }
  const { heard, port } = await eavesdropper(t, tls([cert, other.authority.pem]));
  t.match(await on.login(on.stringOf(token)), { status: 0 });
  const away = await on.run('status', '--controller', `https://127.0.0.1:${port}`);
  t.match(away, { status: 3, stderr: /is not the controller of this login/ });
  t.strictSame(heard, []);
  const plain = await eavesdropper(t, createPlainServer);
  await on.run('status', '--controller', `http://127.0.0.1:${plain.port}`);
  t.equal(plain.heard.length, 1);
  t.notMatch(plain.heard[0], token.slice(23), 'nor in plain to this very machine');
  t.match(await on.run('status', '--controller', 'http://192.0.2.1:7300'), { status: 2, stderr: /is plain/ });
});

t.test('a login that does not hold says why', async (t) => {
  const on = await controller(t);
  const token = await on.give('viewer', { name: 'ann' });
  const whole = on.stringOf(token);
  t.match(await on.login(whole.slice(0, -9)), { status: 2, stderr: /not a whole join string/ });
  t.match(await on.login(''), { status: 2 });
  const joining = on.stringOf(`fleetjoin_${'0'.repeat(16)}_${'A'.repeat(43)}`);
  t.match(await on.login(joining), { status: 2, stderr: /for a host that joins/ });
  t.match(await on.login(on.stringOf(token, { ca: 'b'.repeat(64) })), {
    status: 3,
    stderr: /is not the controller/,
  });
  t.match(await on.login(on.stringOf(`${token.slice(0, 23)}${'A'.repeat(43)}`)), { status: 3 });
  t.throws(() => statSync(on.file), 'nothing of it is kept');
  t.match(await on.login(whole), { status: 0 });
  chmodSync(on.file, 0o644);
  t.match(await on.run('whoami'), { status: 2, stderr: /may be read by others[\s\S]*chmod 600/ });
});

t.test('a certificate out of its time: the clocks are named', async (t) => {
  const on = await controller(t, { now: Date.now() - 200 * DAY_MS });
  const { status, stderr } = await on.login(on.stringOf(await on.give('viewer')));
  t.equal(status, 3);
  t.match(stderr, /by this machine’s clock/);
});

t.test('whoever is cut off while they watch is told, and the deployment goes on', async (t) => {
  const on = await controller(t);
  const { deployer, store } = await on.fleet.controller();
  t.match(await on.login(on.stringOf(await on.give('deployer', { name: 'ann' }))), { status: 0 });
  const held = Promise.withResolvers<void>();
  on.fleet.agents.trouble('a', 'step.restart', { kind: 'held', until: held.promise }, { times: 1 });
  const watching = startFleet(['deploy', 'segmenter', '--version', NEW], { environment: on.environment });
  await watching.says('activate');
  await store.tokens.revoke('ann');
  t.match(await watching.ended, { status: 3, stderr: /unknown, expired or revoked/ });
  held.resolve();
  await deployer.idle();
  t.match(await store.deployments.get(2), { state: 'succeeded', by: 'ann' });
});
