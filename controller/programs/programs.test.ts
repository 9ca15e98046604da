import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import { type Client, createClient } from '@fleet/cli/client.ts';
import { OWN, ownedServiceName } from '@fleet/protocol/words.ts';
import { makeSigningKey, publicText } from '@fleet/trust/keys.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createApi } from '../api/server.ts';
import { servingOf } from '../api/serving.fixture.ts';
import { fleets } from '../deploy/fleet.fixture.ts';
import { Keys } from '../signing/keys.fixture.ts';
import { openSigning } from '../signing/signing.ts';
import { createStore } from '../store/store.ts';
import { AGENT_VERSION, makePrograms } from './programs.fixture.ts';
import { Programs, type ProgramsOptions } from './programs.ts';

const makeFleet = await fleets(t);

/** A folder with one agent in it, and a controller that registers it; another life of that controller each time. */
async function scene(t: Test, keys = new Keys()) {
  const dir = t.testdir();
  const folder = await makePrograms(dir);
  const data = join(dir, 'data');
  keys.write(data);
  const signing = openSigning(data, Date.now)!;
  const store = await createStore(join(dir, 'fleet.sqlite'));
  t.teardown(() => store.close());
  const warnings: string[] = [];
  const log: ProgramsOptions['log'] = { info() {}, warn: (_, message) => warnings.push(message) };
  const dirs = { work: join(dir, 'work'), artifacts: join(dir, 'artifacts') };
  mkdirSync(dirs.work);
  const start = async (more: Partial<ProgramsOptions> = {}) => {
    const programs = new Programs({ folder, store, signing, dirs, log, ...more });
    await programs.register();
    return programs;
  };
  return { folder, store, start, warnings, shelved: () => globSync(`${dirs.artifacts}/**/*.tar.gz`) };
}

t.test('what came with the controller is on the shelf, signed, and stays when the folder goes', async (t) => {
  const { folder, store, start, shelved, warnings } = await scene(t);
  const [program] = await (await start()).list();
  t.match(program, { service: OWN.agent, version: AGENT_VERSION, platform: 'linux' });
  const record = await store.artifacts.byVersion(OWN.agent, AGENT_VERSION);
  t.equal(program?.signed?.statement.manifest, digestOf(readFileSync(record!.manifestPath)));
  t.equal(shelved().length, 1);

  const [again] = await (await start()).list();
  t.strictSame(again, program, 'at the next start it is the same, signed when it was');

  rmSync(shelved()[0]!);
  await start();
  t.equal(shelved().length, 1, 'what is lost on the shelf comes again from the folder');

  rmSync(folder, { recursive: true });
  const without = await start();
  await t.rejects(without.list(), { code: 'no_programs', next: /scripts\/bundle/ });
  t.ok(await store.artifacts.byVersion(OWN.agent, AGENT_VERSION), 'hosts may still go back to it');
  t.strictSame(warnings, []);
});

t.test('what is not as it was made is not registered, and the controller starts', async (t) => {
  const { folder, store, start, warnings, shelved } = await scene(t);
  appendFileSync(join(folder, OWN.agent, `${AGENT_VERSION}.tar.gz`), 'more');
  await t.rejects((await start()).list(), { code: 'no_programs' });
  t.match(warnings, [/is not what its manifest says/]);
  t.notOk(await store.artifacts.byVersion(OWN.agent, AGENT_VERSION));
  t.strictSame(shelved(), []);
});

t.test('where another machine signs, the signature comes in the folder', async (t) => {
  const key = makeSigningKey();
  const keys = new Keys();
  const { folder, store, start, warnings } = await scene(t, keys);
  const data = join(folder, '../elsewhere');
  keys.write(data, { level: 'L1b', keys: [publicText(key.publicKey)] });
  const signing = openSigning(data, Date.now)!;
  const [unsigned] = await (await start({ signing })).list();
  t.equal(unsigned?.signed, null);
  await t.rejects((await start({ signing })).open(OWN.agent, AGENT_VERSION, 'signature'), {
    code: 'not_signed',
  });

  const manifest = digestOf(readFileSync(join(folder, OWN.agent, `${AGENT_VERSION}.manifest.json`)));
  const statement = {
    kind: 'release',
    service: OWN.agent,
    version: AGENT_VERSION,
    manifest,
    signedAt: 1,
  } as const;
  const beside = join(folder, OWN.agent, `${AGENT_VERSION}.signature.json`);
  writeFileSync(beside, JSON.stringify(signStatement(statement, makeSigningKey())));
  await t.rejects((await start({ signing })).list(), { code: 'no_programs' });
  t.match(warnings.splice(0), [/which may not sign/], 'not by just anybody');

  const signed = signStatement(statement, key);
  writeFileSync(beside, JSON.stringify(signed));
  const [later] = await (await start({ signing })).list();
  t.strictSame(later?.signed, signed, 'also of what was there unsigned');
  t.strictSame((await store.artifacts.byVersion(OWN.agent, AGENT_VERSION))?.signature, signed);
  t.strictSame(warnings, []);
});

t.test('whoever asks for it gets every byte', async (t) => {
  const { serving, store } = await servingOf(t, await makeFleet(t));
  const options = { development: true, origins: [], now: Date.now };
  const api = await createApi(serving, pino({ level: 'silent' }), createServer(), options);
  t.teardown(() => api.close());
  await api.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.server.address() as AddressInfo;
  const client = createClient({
    controller: `http://127.0.0.1:${port}`,
    by: 'ann',
    signal: AbortSignal.timeout(20_000),
  });
  const [program] = await client.call('programs.list', {});
  const manifest = decodeManifest(await fetched(client, 'manifest'));
  t.equal(manifest.identity, program?.identity);
  const artifact = await fetched(client, 'artifact');
  t.equal(createHash('sha256').update(artifact).digest('hex'), manifest.artifact.sha256);
  t.strictSame(JSON.parse((await fetched(client, 'signature')).toString()), program?.signed);

  const { artifactPath } = (await store.artifacts.byVersion(OWN.agent, AGENT_VERSION))!;
  rmSync(artifactPath);
  await t.rejects(fetched(client, 'artifact'), { code: 'no_programs', next: /start the controller again/ });
});

t.test('what breaks off is told as that', async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('a little', () => response.destroy());
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const signal = AbortSignal.timeout(20_000);
  const client = createClient({ controller: `http://127.0.0.1:${port}`, by: 'ann', signal });
  await t.rejects(fetched(client, 'artifact'), { code: 'controller_unreachable' });
});

async function fetched(client: Client, part: 'manifest' | 'artifact' | 'signature'): Promise<Buffer> {
  const params = { service: OWN.agent, version: AGENT_VERSION, part };
  const { size, content } = await client.download('programs.fetch', { params });
  const bytes = Buffer.concat(await Array.fromAsync(content));
  if (bytes.length !== size) throw new Error(`${bytes.length} bytes of ${size}`);
  return bytes;
}

t.test('no service has a name of fleet’s own, nor one whose unit would have it', async (t) => {
  for (const name of ['fleet-agent', 'fleet-node', 'agent', 'controller'])
    t.equal(ownedServiceName.safeParse(name).success, false, name);
  for (const name of ['segmenter', 'agents', 'fleet']) t.equal(ownedServiceName.parse(name), name);
});
