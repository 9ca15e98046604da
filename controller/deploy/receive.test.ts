/** Releases that come signed from another machine: what is taken, and what is refused before it is read. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { type KeyPair, makeSigningKey, publicText } from '@fleet/trust/keys.ts';
import { digestOf } from '@fleet/trust/release.ts';
import { signStatement } from '@fleet/trust/signed.ts';
import t, { type Test } from 'tap';
import { loadConfig } from '../config/config.ts';
import { Keys } from '../signing/keys.fixture.ts';
import { signShelf } from '../signing/shelf.ts';
import { openSigning } from '../signing/signing.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import { createStore } from '../store/store.ts';
import { realClock } from './clock.ts';
import { realDisk } from './disk.ts';
import { receiveRelease } from './receive.ts';
import { readRelease } from './releaseFiles.ts';
import { checkMayBuild } from './resolve.ts';
import { fillShelf, SERVICE } from './shelf.fixture.ts';
import { Turns } from './turns.ts';

const CONFIG = `development: true\nservices: { ${SERVICE}: { source: { directory: . } } }\nenvironments: {}\n`;

async function receiver(t: Test) {
  const dir = t.testdir({ 'controller.yaml': CONFIG });
  const keys = new Keys();
  const data = join(dir, 'data');
  keys.write(data);
  const signing = openSigning(data, Date.now)!;
  const store = await createStore(join(dir, 'fleet.sqlite'));
  t.teardown(() => store.close());
  const config = await loadConfig(join(dir, 'controller.yaml'));
  const dirs = { git: join(dir, 'git'), work: join(dir, 'work'), artifacts: join(dir, 'shelf'), logs: dir };
  const builder = { store, config, turns: new Turns(), clock: realClock, signing, dirs };

  /** The bytes of a parcel, in pieces, and how many were taken. */
  async function parcel(
    version: string,
    how: { by?: KeyPair; at?: number; change?(bytes: Buffer): Buffer } = {},
  ) {
    const folder = join(dir, `made-${Math.random()}`);
    await mkdir(folder);
    const [record] = await fillShelf(folder, [version]);
    const { manifest } = await readRelease(record!, realDisk);
    const bytes = encodeManifest(manifest);
    const { by = keys.release, at = 1000, change = (same: Buffer) => same } = how;
    const release = { service: SERVICE, version, manifest: digestOf(bytes) };
    const signed = signStatement({ kind: 'release' as const, ...release, signedAt: at }, by);
    const artifact = change(await realDisk.readFile(record!.artifactPath));
    return { head: Buffer.concat([Buffer.from(`${JSON.stringify(signed)}\n`), bytes]), artifact };
  }
  async function push({ head, artifact }: { head: Buffer; artifact: Buffer }, admit = (_: string) => {}) {
    let taken = 0;
    async function* stream() {
      for (let at = 0; at < head.length; at += 100) yield head.subarray(at, at + 100);
      for (let at = 0; at < artifact.length; at += 50) {
        taken += 50;
        yield artifact.subarray(at, at + 50);
      }
    }
    const result = await receiveRelease(builder, stream(), admit).catch((error: unknown) => error);
    return { result, taken };
  }
  const shelf = () => globSync('**', { cwd: dirs.artifacts }).length;
  return { builder, data, keys, signing, store, parcel, push, shelf, dirs };
}

t.test('a signed release is taken, and taken again without a word', async (t) => {
  const { parcel, push, store } = await receiver(t);
  const sent = await parcel('1.0.0');
  t.match((await push(sent)).result, { added: true, artifact: { version: '1.0.0' } });
  const record = await store.artifacts.byVersion(SERVICE, '1.0.0');
  t.ok(record && existsSync(record.artifactPath) && existsSync(record.manifestPath));
  t.match(record?.signature?.statement, { signedAt: 1000 });
  const again = await push(sent);
  t.match(again.result, { added: false });
  t.equal(again.taken, 0, 'its artifact is not read again');
});

t.test('whose it is is asked before its artifact is read', async (t) => {
  const { parcel, push, signing, store, shelf } = await receiver(t);
  const refused = async (sent: { head: Buffer; artifact: Buffer }, code: string) => {
    const { result, taken } = await push(sent);
    t.match(result, { code });
    t.equal(taken, 0);
    t.equal(shelf(), 0);
  };
  await refused(await parcel('1.0.0', { by: makeSigningKey() }), 'not_signed');
  const good = await parcel('1.0.0');
  const other = await parcel('1.1.0');
  const [signature] = good.head.toString().split('\n');
  const [, manifest] = other.head.toString().split('\n');
  await refused({ ...other, head: Buffer.from(`${signature}\n${manifest}\n`) }, 'not_signed');
  await refused({ ...good, head: Buffer.from('\n\n') }, 'bad_archive');
  await refused({ ...good, head: Buffer.alloc(100_000, 'a') }, 'bad_archive');
  await refused({ ...good, head: Buffer.from(`${signature}\n{}\n`) }, 'bad_archive');
  await refused(
    { ...good, head: Buffer.from(`${signature}\n ${good.head.toString().split('\n')[1]}\n`) },
    'bad_archive',
  );
  const admitted: string[] = [];
  await push(good, (service) => {
    admitted.push(service);
    throw new Error('out of scope');
  });
  t.strictSame(admitted, [SERVICE]);

  const signed = signing.signFloor({ service: SERVICE, version: '1.1.0', notBefore: 2000 })!;
  await store.floors.set({ signed, why: 'a hole', by: 'ann', at: '' });
  await refused(good, 'below_floor');
});

t.test('an artifact that is not that of its manifest leaves nothing', async (t) => {
  const { parcel, push, shelf, dirs } = await receiver(t);
  for (const change of [
    (bytes: Buffer) => bytes.subarray(0, -1),
    (bytes: Buffer) => Buffer.concat([bytes, bytes]),
    (bytes: Buffer) => Buffer.from(bytes.map((byte, index) => (index === 30 ? byte ^ 1 : byte))),
  ]) {
    t.match((await push(await parcel('1.0.0', { change }))).result, { code: 'bad_archive' });
    t.equal(shelf(), 0);
    t.strictSame(readdirSync(dirs.work), []);
  }
});

t.test('the same content is there already, and other content under its version is refused', async (t) => {
  const { parcel, push, store } = await receiver(t);
  await push(await parcel('1.0.0'));
  t.match((await push(await parcel('1.0.0'))).result, { added: false }, 'packed elsewhere');
  const { artifact } = (await push(await parcel('1.1.0'))).result as { artifact: ArtifactRecord };
  await store.artifacts.add({ ...artifact, version: '1.2.0' });
  const { result, taken } = await push(await parcel('1.2.0'));
  t.match(result, { code: 'version_exists' });
  t.equal(taken, 0);
});

t.test('at level L1b the controller has no key, builds nothing, and never has one again', async (t) => {
  const { builder, keys, signing, parcel, push, data } = await receiver(t);
  checkMayBuild(builder, SERVICE);
  const ci = makeSigningKey();
  const next = keys.trust(2, { level: 'L1b', keys: [publicText(ci.publicKey)] });
  t.throws(() => signing.replace({ ...next, key: '0'.repeat(64) }), { code: 'not_signed' });
  t.throws(() => signing.replace(keys.trust(2, { by: makeSigningKey() })), { code: 'not_signed' });
  t.throws(() => signing.replace(keys.trust(1)), { code: 'trust_lowered' });
  signing.replace(next);
  t.notOk(existsSync(join(data, 'trust/release.key')), 'what signs no more is not kept');
  t.equal(signing.sign({ service: SERVICE, version: '1', manifest: '0'.repeat(64) }), null);
  t.throws(() => checkMayBuild(builder, SERVICE), {
    code: 'not_signed',
    message: /builds none of segmenter/,
  });
  t.throws(() => signing.replace(keys.trust(3, { level: 'L0' })), { code: 'trust_lowered' });
  t.match((await push(await parcel('1.0.0'))).result, { code: 'not_signed' }, 'by the key that was retired');
  t.match((await push(await parcel('1.0.0', { by: ci }))).result, { added: true });
});

t.test('a key that is replaced leaves everything on the shelf as good as it was', async (t) => {
  const { keys, signing, store, parcel, push, data } = await receiver(t);
  await push(await parcel('1.0.0', { at: 1000 }));
  await push(await parcel('1.1.0', { at: 2000 }));
  const signed = signing.signFloor({ service: SERVICE, version: '1.1.0', notBefore: 2000 })!;
  await store.floors.set({ signed, why: 'a hole', by: 'ann', at: '' });
  const before = readFileSync(join(data, 'trust/release.key'), 'utf8');
  signing.replace(keys.trust(2, { keys: [signing.makeKey()] }));
  t.not(readFileSync(join(data, 'trust/release.key'), 'utf8'), before);
  await signShelf(store, signing);
  const floors = (await store.floors.list()).map((floor) => floor.signed);
  const check = async (version: string) => {
    const record = (await store.artifacts.byVersion(SERVICE, version))!;
    const { manifestSha256: manifest } = await readRelease(record, realDisk);
    signing.check({ service: SERVICE, version, manifest }, record.signature, floors);
  };
  await check('1.1.0');
  await t.rejects(check('1.0.0'), { code: 'below_floor' }, 'signed anew it is no younger');
});
