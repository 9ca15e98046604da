/** A build that looks for what is not its own: as another user it finds nothing. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { findSetpriv } from '@fleet/process/user.ts';
import t, { type Test } from 'tap';
import { unpack } from '../unpack.ts';
import { build } from './build.ts';
import { type BuildUser, findBuildUser } from './buildUser.ts';

t.setTimeout(120_000);

const root = userInfo().uid === 0;
const SKIP = !root
  ? 'only root builds as another user'
  : findSetpriv() === undefined
    ? 'this machine has no setpriv'
    : false;
const CANARY = 'a-canary-that-nobody-may-hear';

const FLEET = `service: web
build: { command: [node, look.mjs] }
package: { include: [found.json, 'd/**'], test: { command: [node, -e, "require('fs').writeFileSync('tested', String(process.getuid()))"] } }
run: { supervisor: process, command: [web] }
`;
/** Looks everywhere, and writes down what it sees. */
const LOOK = `
  import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
  const read = (path) => { try { return readFileSync(path, 'latin1'); } catch (error) { return error.code; } };
  const list = (path) => { try { return readdirSync(path); } catch (error) { return error.code; } };
  const environs = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).map((pid) => read('/proc/' + pid + '/environ'));
  const parents = readFileSync('/proc/self/status', 'utf8').match(/PPid:\\s*([0-9]+)/)[1];
  writeFileSync('found.json', JSON.stringify({
    uid: process.getuid(), groups: process.getgroups(), env: process.env, environs,
    memory: read('/proc/' + parents + '/mem'), cwd: list('/proc/' + parents + '/cwd'), descriptors: list('/proc/' + parents + '/fd'),
    key: read(DATA + '/trust/release.key'), database: read(DATA + '/fleet.sqlite'), data: list(DATA), source: read(SOURCE + '/fleet.yaml'),
    beside: (() => { try { writeFileSync('../mine', ''); return 'written'; } catch (error) { return error.code; } })(),
  }));
  mkdirSync('d'); symlinkSync('../found.json', 'd/link');
`;

async function made(t: Test, buildUser: BuildUser | undefined, data: string) {
  const source = mkdtempSync(join(tmpdir(), 'fleet-source-'));
  t.teardown(() => rmSync(source, { recursive: true, force: true }));
  const values = `const DATA = ${JSON.stringify(data)}; const SOURCE = ${JSON.stringify(source)};`;
  writeFileSync(join(source, 'fleet.yaml'), FLEET);
  writeFileSync(join(source, 'look.mjs'), values + LOOK);
  const dir = (name: string) => join(data, name);
  const built = await build({
    service: 'web',
    source: { directory: source },
    dirs: { git: dir('git'), work: dir('work'), artifacts: dir('artifacts'), logs: dir('logs') },
    existing: { bySourceKey: async () => undefined, byVersion: async () => undefined },
    buildUser,
    note: () => {},
    signal: new AbortController().signal,
  });
  const into = join(data, 'unpacked');
  await unpack({ artifact: built.artifactPath, manifest: built.manifest, into });
  const text = readFileSync(join(into, 'found.json'), 'utf8');
  return { text, found: JSON.parse(text) as Record<string, unknown>, log: built.log! };
}

function controllerData(t: Test): string {
  const outside = mkdtempSync(join(tmpdir(), 'fleet-data-'));
  t.teardown(() => rmSync(outside, { recursive: true, force: true }));
  const data = join(outside, 'data');
  mkdirSync(join(data, 'trust'), { recursive: true, mode: 0o700 });
  for (const name of ['trust/release.key', 'fleet.sqlite'])
    writeFileSync(join(data, name), CANARY, { mode: 0o600 });
  return data;
}

t.test(
  'a build as another user finds no key, no secret and nobody else’s environment',
  { skip: SKIP },
  async (t) => {
    const data = controllerData(t);
    const rooms = mkdtempSync(join(tmpdir(), 'fleet-rooms-'));
    t.teardown(() => rmSync(rooms, { recursive: true, force: true }));
    process.env.FLEET_TEST_SECRET = CANARY;
    const { as, told } = await findBuildUser('nobody', rooms);
    const { text, found } = await made(t, as, data);
    t.notMatch(text, CANARY);
    t.match(found, {
      uid: 65534,
      groups: [65534],
      env: { USER: 'nobody', HOME: /tmp$/, FLEET_TEST_SECRET: undefined },
      memory: 'EACCES',
      cwd: 'EACCES',
      descriptors: 'EACCES',
      key: 'EACCES',
      database: 'EACCES',
      data: 'EACCES',
      source: 'EACCES',
      beside: 'EACCES',
    });
    t.strictSame(readdirSync(rooms), [], 'nothing of it stays');
    t.match(told, /as nobody, who can read neither/);
  },
);

t.test('without another user, that is said', async (t) => {
  const { found } = await made(t, undefined, controllerData(t));
  t.match(found, { uid: userInfo().uid });
  t.match(await findBuildUser(userInfo().username, '/nowhere'), {
    as: undefined,
    told: /the controller’s own user: a build can read all that the controller can/,
  });
  await t.rejects(findBuildUser('nobody-of-this-name', '/nowhere'), {
    code: 'bad_config',
    message: /^build_user: /,
  });
});
