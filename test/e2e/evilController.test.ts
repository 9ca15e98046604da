/** Whoever owns the controller and not the key that signs runs nothing on a host that was not signed, and writes nothing there. */
import { createHash } from 'node:crypto';
import {
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Built, build, type FakeController } from '@fleet/agent/fakeController.fixture.ts';
import { decodeFrame } from '@fleet/protocol/codec.ts';
import { asFleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Request } from '@fleet/protocol/messages/methods.ts';
import { streamName } from '@fleet/protocol/messages/release.ts';
import { type SignedTrust, signedTrust } from '@fleet/protocol/trust.ts';
import { keyPairFrom, makeSigningKey, publicText } from '@fleet/trust/keys.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { openEvilController } from '../fixtures/evilController.ts';

const touch = (name: string) => ({ command: ['touch', `../../../${name}`] });
/** Whatever of it runs leaves a file whose name says so. */
const EVIL = {
  run: { supervisor: 'process', command: ['sh', '-c', 'touch ../../../EVIL-service; sleep 1000'] },
  hooks: Object.fromEntries(
    ['before_stop', 'after_stop', 'before_start', 'after_start'].map((name) => [name, touch(`EVIL-${name}`)]),
  ),
  once: [{ name: 'migrate', ...touch('EVIL-once') }],
  smoke: [{ name: 'looks', kind: 'command', ...touch('EVIL-smoke') }],
};
const GOOD = `service: web
variables: { PORT: { default: "1" } }
run: { supervisor: process, command: [node, server.mjs] }
once: [{ name: migrate, command: [sh, -c, 'printf %s "$0" > ../../../GOOD-once', "\${PORT}"] }]
`;
const CONFIG = `services: { web: { source: { directory: source } } }
environments: { production: { services: { web: { hosts: { role: web }, strategy: { min_visible: 0, settle: 0ms } } } } }
`;

interface Scene {
  fleet: LocalFleet;
  evil: FakeController;
  /** What lies on the host, as the agent was told by its true controller, less its journal. */
  tree(): string;
  marks(): string[];
}

async function scene(t: Test): Promise<Scene> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'fleet-evil-')));
  mkdirSync(join(dir, 'source'));
  writeFileSync(join(dir, 'source/fleet.yaml'), GOOD);
  const hosts = [{ host: 'a', labels: { role: 'web' } }];
  const fleet = await LocalFleet.create({ dir, secure: true, hosts, config: CONFIG });
  t.teardown(async () => {
    await fleet.stop();
    fleet.remove();
  });
  await fleet.start();
  for (const version of ['1', '2']) {
    writeFileSync(join(dir, 'source/server.mjs'), `setInterval(() => {}, 1000); // ${version}\n`);
    await fleet.well(['build', 'web', '--version', version]);
    await fleet.well(['deploy', 'web', '--version', version]);
  }
  await fleet.well(['floor', 'web', '2', '-m', 'a hole in 1']);
  const rotated = await fleet.well(['keys', 'rotate', '--root-key', 'fleet-root.key']);
  t.match(rotated.stdout, /a: told/);
  await fleet.controller!.stop();

  const config = readFileSync(join(dir, 'controller.yaml'), 'utf8');
  const port = Number(/listen_agents: 127\.0\.0\.1:(\d+)/.exec(config)?.[1]);
  const evil = await openEvilController(join(dir, 'fleet-data'), port);
  t.teardown(() => evil.close());
  await evil.nextLink();
  const root = fleet.rootOf('a');
  return {
    fleet,
    evil,
    tree: () => {
      const hash = createHash('sha256');
      for (const path of globSync('**', {
        cwd: root,
        exclude: ['.agent/journal*', '.agent/epochs*', 'web/run/**'],
      }).sort()) {
        const found = lstatSync(join(root, path));
        if (found.isFile()) hash.update(readFileSync(join(root, path)));
        hash.update(`${path} ${found.mode}\n`);
      }
      return hash.digest('hex');
    },
    marks: () => globSync('**/{EVIL,GOOD}*', { cwd: root }).sort(),
  };
}

t.test('an owned controller without the key that signs', async (t) => {
  const { fleet, evil, tree, marks } = await scene(t);
  const before = tree();
  const ranBefore = marks();
  const data = join(fleet.dir, 'fleet-data');
  const shelved = readFileSync(join(data, 'artifacts/web/2.manifest.json'));
  const kept = JSON.parse(readFileSync(join(fleet.rootOf('a'), 'web/signatures/2.json'), 'utf8')) as Signed;
  const old = JSON.parse(readFileSync(join(fleet.rootOf('a'), 'web/signatures/1.json'), 'utf8')) as Signed;
  type Signed = NonNullable<Request<AgentMethods, 'release.offer'>['signed']>;
  const trust = signedTrust.parse(JSON.parse(readFileSync(join(data, 'trust/trust.json'), 'utf8')));
  const own = makeSigningKey();
  const authority = keyPairFrom(readFileSync(join(data, 'trust/controller.key'), 'utf8'), 'stolen');
  t.teardown(() => Promise.all(made.map((each) => each.remove())));
  const made: Built[] = [];
  const make = async (version: string) => {
    const built = await build('web', version, EVIL, { file: version });
    made.push(built);
    return built;
  };
  const two = await make('2');
  const three = await make('3');
  const signed = (built: Built, by = own): Signed => {
    const { service, version } = built.manifest;
    const manifest = built.offer.manifest.sha256;
    return signStatement({ kind: 'release' as const, service, version, manifest, signedAt: Date.now() }, by);
  };
  let refusals = 0;
  const refused = async (what: string, asked: Promise<unknown>, ...codes: string[]) => {
    const error = await asked.then(
      () => undefined,
      (thrown: unknown) => asFleetError(thrown),
    );
    refusals++;
    t.ok(
      error && codes.includes(error.code),
      `${what}: ${error ? `${error.code}, ${error.message}` : 'it was done'}`,
    );
    t.equal(tree(), before, `${what}: nothing on the host is different`);
    t.strictSame(marks(), ranBefore, `${what}: nothing ran`);
  };
  const offer = (built: Built, more: Partial<Built['offer']> = {}) =>
    evil.offer({ ...built, offer: { ...built.offer, ...more } });
  const command = () => evil.command();
  const raw = (method: string, body: unknown) => evil.ask(method as 'step.stop', body as never);

  await refused('unsigned', offer(three), 'not_signed');
  await refused('signed by a key of its own', offer(three, { signed: signed(three) }), 'not_signed');
  await refused(
    'signed by its TLS key',
    offer(three, { signed: { ...signed(three), signature: `${'A'.repeat(86)}==` } }),
    'not_signed',
  );
  await refused('another version’s signature', offer(three, { signed: kept }), 'not_signed');
  await refused('other hooks under a good signature', offer(two, { signed: kept }), 'not_signed');
  const renamed = { ...kept, statement: { ...kept.statement, manifest: two.offer.manifest.sha256 } };
  await refused('a good signature with another digest', offer(two, { signed: renamed }), 'not_signed');
  await refused(
    'a key that it claims to be',
    offer(two, { signed: { ...signed(two), key: kept.key } }),
    'not_signed',
  );
  t.ok(shelved.length > 0 && authority);

  await refused(
    'what was not offered, sent',
    evil.session.send({
      name: streamName('web', '3', 'artifact'),
      path: three.paths.artifact,
      from: 0,
      size: three.offer.artifact.size,
    }),
    'transfer_failed',
  );
  const { identity } = three.manifest;
  await refused(
    'what was not offered, committed',
    raw('release.commit', { command: command(), service: 'web', version: '3', identity }),
    'transfer_failed',
  );
  await refused('what is not there, activated', evil.activate(three), 'no_release');
  const names = ['../evil', 'web/../../evil', '/etc', '--help', 'a\0b'];
  for (const service of names)
    await refused(
      `a service called ${JSON.stringify(service)}`,
      raw('step.stop', { command: command(), service }),
      'bad_message',
      'no_release',
      'policy_refused',
      'not_signed',
    );
  for (const version of ['../1', '..', '.', '/etc/passwd'])
    await refused(
      `a version called ${version}`,
      raw('release.activate', { command: command(), service: 'web', version, identity }),
      'bad_message',
    );

  const restart = { service: 'web', version: '2', values: {}, lenientStop: false };
  for (const values of [
    { LD_PRELOAD: '/tmp/evil.so' },
    { NODE_OPTIONS: '--require /tmp/evil' },
    { PATH: '/tmp' },
    { BASH_ENV: '/tmp/evil' },
  ])
    await refused(
      `the variable ${Object.keys(values)[0]}`,
      raw('step.restart', { ...restart, command: command(), values }),
      'bad_message',
    );
  await refused(
    'a variable that is not declared',
    raw('step.restart', { ...restart, command: command(), values: { EVIL: '1' } }),
    'undeclared_variable',
  );
  await refused(
    'a command line beside a restart',
    raw('step.restart', { ...restart, command: command(), run: EVIL.run }),
    'bad_message',
  );
  await refused(
    'a once step of its own',
    raw('step.once', { command: command(), service: 'web', version: '2', name: 'EVIL', values: {} }),
    'bad_request',
  );
  for (const method of ['exec', 'step.run', 'release.unpack', '__proto__', 'constructor', 'hello'])
    await refused(
      `a message called ${method}`,
      askRaw(evil, method, { command: ['touch', 'EVIL'] }),
      'unknown_method',
      'bad_message',
    );

  await refused(
    'a release below the floor, offered',
    offer(three, { signed: old, manifest: { ...three.offer.manifest, sha256: old.statement.manifest } }),
    'not_signed',
    'below_floor',
  );
  const one = { ...three, manifest: { ...three.manifest, version: '1', identity: identityOf(fleet, '1') } };
  await refused('a release below the floor, activated', evil.activate(one), 'below_floor');
  const postdated = { ...old, statement: { ...old.statement, signedAt: Date.now() } };
  const update = (given: SignedTrust, more: Partial<Request<AgentMethods, 'trust.update'>> = {}) =>
    evil.ask('trust.update', { trust: given, floors: [], releases: [], ...more });
  await update(trust, { releases: [postdated] });
  await refused('a release below the floor, dated anew', evil.activate(one), 'below_floor');

  const mine = [{ name: 'evil', key: publicText(own.publicKey) }];
  const next = { ...trust.statement, serial: trust.statement.serial + 1, signers: mine };
  await refused('its own document', update(signStatement(next, own)), 'not_signed');
  await refused('a document that was changed', update({ ...trust, statement: next }), 'not_signed');
  const first = signStatement({ ...trust.statement, serial: 1 }, own);
  await refused('an older document', update(first), 'not_signed', 'trust_lowered');
  const floor = { kind: 'floor' as const, service: 'web', version: '1', notBefore: 0, signedAt: 0 };
  await refused('a lower floor', update(trust, { floors: [signStatement(floor, own)] }), 'not_signed');

  const socket = evil.sockets.at(-1)!;
  const frames: Array<string | Buffer> = [
    '{',
    '[]',
    'null',
    '{"type":"exec","command":["touch","EVIL"]}',
    JSON.stringify({ type: 'open', stream: 1, name: 'release/../../etc/passwd/artifact', from: 0, size: 10 }),
    Buffer.alloc(12),
    Buffer.alloc(3000, 7),
  ];
  for (const frame of frames) {
    const again = evil.nextLink();
    evil.sockets.at(-1)!.send(frame);
    // A peer that breaks the protocol loses its session; the agent dials anew.
    await Promise.race([again, evil.ask('step.report', { service: 'web' }).catch(() => again)]);
  }
  t.ok(socket);
  t.equal(tree(), before, 'raw frames: nothing on the host is different');
  t.strictSame(marks(), ranBefore, 'raw frames: nothing ran');
  t.ok(fleet.agents.get('a')!.running(), 'the agent is there');
  t.match(await evil.ask('step.report', { service: 'web' }), { state: 'running', running: '2' });

  const values = { PORT: '$(touch EVIL)' };
  await evil.ask('step.once', { command: command(), service: 'web', version: '2', name: 'migrate', values });
  t.equal(readFileSync(join(fleet.rootOf('a'), 'GOOD-once'), 'utf8'), values.PORT, 'a value is one element');
  t.notOk(marks().some((name) => name.includes('EVIL')));
  t.comment(`${refusals} refusals, 0 unsigned bytes run`);
});

/** A request that no session of ours would send. */
function askRaw(evil: FakeController, method: string, body: unknown): Promise<unknown> {
  const socket = evil.sockets.at(-1)!;
  const id = 1_000_000 + Math.floor(Math.random() * 1_000_000);
  const answer = new Promise((resolve, reject) => {
    socket.on('message', (data, isBinary) => {
      const frame = isBinary ? undefined : decodeFrame(String(data));
      if (frame?.type === 'error' && frame.id === id) reject(fromBody(frame.error));
      if (frame?.type === 'reply' && frame.id === id) resolve(frame.body);
    });
  });
  socket.send(JSON.stringify({ type: 'request', id, method, body }));
  return answer;
}

function identityOf(fleet: LocalFleet, version: string): string {
  const text = readFileSync(join(fleet.rootOf('a'), `web/sealed/${version}.json`), 'utf8');
  return (JSON.parse(text) as { identity: string }).identity;
}
