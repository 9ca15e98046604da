/** Secrets are sung by everything that is given them, and heard nowhere; nor are the tokens and keys of the fleet itself. */
import {
  chmodSync,
  globSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJoinString } from '@fleet/trust/joinString.ts';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import type { Ran } from '../../scripts/local/program.ts';
import { Canaries, SINGER } from '../fixtures/canary.ts';
import { PliableRepository } from '../fixtures/pliable.ts';

t.setTimeout(600_000);

const SERVER = `import { createServer } from 'node:http';
const song = process.env.SONGS.split(' ').map((name) => process.env[name]).join(' ');
console.log('starts with ' + song);
console.log(Buffer.from(song).toString('base64'));
if (process.env.DIES) process.exit(4);
createServer((request, response) => {
  console.log('asked, and says ' + song);
  response.end(process.env.FLEET_VERSION + ' ' + song);
}).listen(Number(process.env.PORT), '127.0.0.1');
`;
const SONGS = ['FROM_ENVIRONMENT', 'FROM_FILE', 'FROM_COMMAND', 'WRITTEN'];

/** Private keys, where they belong. */
const KEYS = ['fleet-root.key', 'ci.key', 'data/trust/{ca,controller}.key', 'hosts/*/.agent/trust/agent.key'];

interface Version {
  hooks?: string;
  smoke?: string;
  environment?: string;
}

class Singers extends PliableRepository {
  sing(version: string, { hooks = '', smoke = '', environment = '' }: Version = {}): void {
    writeFileSync(join(this.dir, 'server.mjs'), SERVER);
    writeFileSync(join(this.dir, 'sing.mjs'), SINGER);
    writeFileSync(join(this.dir, 'version'), version);
    const sing = '{ command: [node, sing.mjs] }';
    writeFileSync(
      join(this.dir, 'fleet.yaml'),
      `service: singer
variables:
  PORT: {}
  FROM_ENVIRONMENT: { secret: true }
  FROM_FILE: { secret: true }
  FROM_COMMAND: {}
  WRITTEN: { secret: true }
run:
  supervisor: process
  command: [node, server.mjs]
  stop: { grace: 2s }
  environment:
    PORT: "\${PORT}"
    SONGS: ${SONGS.join(' ')}
${SONGS.map((name) => `    ${name}: "\${${name}}"\n`).join('')}${environment}
hooks: { before_stop: ${sing}, after_stop: ${sing}, before_start: ${sing}, ${hooks || `after_start: ${sing}`} }
once: [ { name: migrate, command: [node, sing.mjs], repeatable: true } ]
smoke:
  - { name: answers, kind: http, port: "\${PORT}", contains: "\${VERSION}", within: 10s, timeout: 5s, interval: 50ms }
  - { name: sings, kind: command, command: [node, sing.mjs], within: 20s, timeout: 10s }
${smoke}`,
    );
    this.git('add', '--all');
    this.git('commit', '-m', `singer ${version}`);
    this.git('tag', `v${version}`);
  }
}

function ended(t: Test, ran: Ran, status: number, ...texts: Array<string | RegExp>): void {
  const all = ran.stdout + ran.stderr;
  t.equal(ran.code, status, `exit status ${status}`) || t.comment(all);
  for (const text of texts) t.match(all, text) || t.comment(all);
}

t.test('whatever becomes of a deployment, no canary is found where it should not be', async (t) => {
  const canaries = new Canaries();
  const [inEnvironment, inFile, byCommand, written] = SONGS.map((slot) => canaries.plant(slot));
  const dir = mkdtempSync(join(tmpdir(), 'fleet-secrets-'));
  const [one = 0, two = 0] = await freePorts(2);
  const secretFile = join(dir, 'from-file');
  const source = join(dir, 'for-command');
  writeFileSync(secretFile, `${inFile}\n`, { mode: 0o600 });
  writeFileSync(source, `${byCommand}\n`, { mode: 0o600 });
  const repository = new Singers(join(dir, 'singer'));
  repository.sing('1.0.0');
  repository.sing('1.1.0', { hooks: 'after_start: { command: [node, sing.mjs, "3"] }' });
  repository.sing('1.2.0', {
    smoke:
      '  - { name: hears, kind: http, port: "${PORT}", contains: silence, within: 100ms }\n  - { name: fails, kind: command, command: [node, sing.mjs, "4"], within: 100ms, timeout: 10s }\n',
  });
  repository.sing('1.3.0', { environment: '    DIES: "yes"\n' });
  repository.sing('1.4.0');
  const fleet = await LocalFleet.create({
    dir,
    secure: true,
    env: { FLEET_TEST_CANARY: inEnvironment },
    hosts: [
      { host: 'a', labels: { role: 'web', port: one } },
      { host: 'b', labels: { role: 'web', port: two } },
    ],
    config: `data: ./data
services:
  singer: { source: { git: ./singer, ref: main } }
secrets:
  environment: { environment: FLEET_TEST_CANARY }
  file: { file: ./from-file }
  command: { command: [cat, ${source}] }
environments:
  production:
    services:
      singer:
        hosts: { role: web }
        strategy: { settle: 100ms, patience: 5s }
        values:
          PORT: { label: port }
          FROM_ENVIRONMENT: { secret: environment }
          FROM_FILE: { secret: file }
          FROM_COMMAND: { secret: command }
          WRITTEN: ${JSON.stringify(written)}
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    fleet.remove();
  });
  const told = new Map<string, string>();
  const run = async (...argv: string[]) => {
    const ran = await fleet.run(argv);
    const words = `fleet ${argv.join(' ')}`;
    told.set(words, `${told.get(words)} ${ran.stdout} ${ran.stderr}`);
    return ran;
  };
  const calledOff = canaries.watchCommandLines();
  await fleet.start();
  const person = await tokenOf(fleet, 'people', 'add', 'ann', '--role', 'viewer');
  canaries.addToken('a person’s token', person);
  canaries.addToken('a join token', await tokenOf(fleet, 'token', 'create', '--role', 'web'));
  for (const string of fleet.joinStrings)
    canaries.addToken('a spent join token', readJoinString(string).token);
  canaries.addToken('the first admin’s token', fleet.login.token);
  // Gone from the disk where another machine signs.
  const released = readFileSync(join(dir, 'data/trust/release.key'), 'utf8');
  const stream = await fleet.ask('/api/events?after=0', person);
  let heard = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    heard += chunk;
  });

  ended(t, await run('config', 'check'), 0);
  ended(t, await run('deploy', 'singer', '--ref', 'v1.0.0'), 0, 'running=1.0.0');
  ended(t, await run('deploy', 'singer', '--ref', 'v1.1.0'), 5, 'sing.mjs 3 ended with exit status 3');
  ended(t, await run('deploy', 'singer', '--ref', 'v1.2.0'), 5, 'did not pass', '[secret');
  // Where the machine is slow it counts as up for a moment, and its smoke test finds it gone.
  ended(t, await run('deploy', 'singer', '--ref', 'v1.3.0'), 5, /did not start|did not pass/);
  ended(t, await run('deploy', 'singer', '--ref', 'v1.4.0'), 0, 'running=1.4.0');
  ended(t, await run('rollback', 'singer'), 0, 'running=1.0.0');

  const logs = await run('logs', 'singer', '--host', 'a');
  ended(t, logs, 0, 'asked, and says [secret FROM_ENVIRONMENT] [secret FROM_FILE]');
  const plan = (await run('plan', 'singer', '--version', '1.0.0', '--json')).stdout;
  t.equal((JSON.parse(plan) as { noop: boolean }).noop, true, 'the same secrets: nothing to do');
  for (const verb of ['status', 'history', 'hosts']) ended(t, await run(verb, '--json'), 0);
  for (const failed of ['2', '3', '4']) ended(t, await run('recap', failed, '--json'), 5, 'restored');
  ended(t, await run('plan', 'singer', '--version', '1.4.0'), 0);

  await t.test('a secret that has changed is a change, and one that is missing is told', async (t) => {
    const digest = (text: string) => (JSON.parse(text) as { digest: string; noop: boolean }).digest;
    writeFileSync(secretFile, `${canaries.plant('FROM_FILE, changed')}\n`);
    const changed = (await run('plan', 'singer', '--version', '1.0.0', '--json')).stdout;
    t.equal((JSON.parse(changed) as { noop: boolean }).noop, false);
    t.not(digest(changed), digest(plan));
    ended(t, await run('deploy', 'singer', '--version', '1.0.0'), 0, 'changed=');
    chmodSync(secretFile, 0o644);
    ended(
      t,
      await run('deploy', 'singer', '--version', '1.4.0'),
      2,
      'FROM_FILE of singer on',
      'may be read by others',
    );
    ended(t, await run('config', 'check'), 2, 'secrets.file.file', 'chmod 600');
  });

  // What was started before knows its secrets also when its agent is another one, and comes back with them.
  await fleet.agents.get('a')!.stop();
  await fleet.startAgent('a');
  ended(t, await run('logs', 'singer', '--host', 'a'), 0, '[secret FROM_FILE]');

  await t.test(
    'from here on a key of another machine signs, and leaves it as little as the root key does',
    async (t) => {
      ended(t, await run('keys', 'make', '--out', 'ci.key'), 0);
      const byRoot = ['--public-key', 'ci.key.pub', '--root-key', 'fleet-root.key', '--level', 'L1b'];
      ended(t, await run('keys', 'add', 'ci', ...byRoot), 0, 'L1b');
      const built = ['build', 'singer', '--version', '1.5.0', '--sign-key', '../ci.key', '--out', '..'];
      await fleet.well(built, { cwd: repository.dir });
      ended(t, await run('push', 'singer-1.5.0.fleet'), 0);
      ended(t, await run('floor', 'singer', '1.5.0', '-m', 'sings too loud', '--sign-key', 'ci.key'), 0);
      ended(t, await run('deploy', 'singer', '--version', '1.4.0'), 1, 'may not sign');
    },
  );
  for (const list of ['people list', 'token list', 'keys show', 'hosts joined', 'audit', 'audit verify'])
    ended(t, await run(...list.split(' '), '--json'), 0);
  ended(t, await run('backup', 'kept'), 0);
  t.strictSame(readdirSync(join(dir, 'kept')).sort(), ['artifacts', 'backup.json', 'fleet.sqlite']);

  const keys = KEYS.flatMap((pattern) => globSync(pattern, { cwd: dir }));
  t.equal(keys.length, 6);
  for (const path of keys) canaries.addKey(path, readFileSync(join(dir, path), 'utf8'));
  canaries.addKey('the key that the controller had', released);

  stream.destroy();
  canaries.look('the event stream', heard);
  t.match(heard, '[secret ', 'it tells of secrets by name');
  for (const [words, output] of told) canaries.look(words, output);
  const looks = calledOff();
  t.ok(looks > 50, `command lines were looked at ${looks} times`);
  const guarded = globSync('hosts/*/singer/run/{values,spec}.json', { cwd: dir });
  t.equal(guarded.length, 4);
  const closed = [...guarded, ...keys, 'login.json'];
  for (const path of closed) t.equal(statSync(join(dir, path)).mode & 0o777, 0o600, path);
  const sources = ['controller.yaml', 'from-file', 'for-command', ...closed];
  const files = canaries.search(dir, (path) => sources.includes(path));
  t.ok(files > 50, `${files} files were searched`);
  t.match(readFileSync(join(dir, 'hosts/a/singer/run/log'), 'utf8'), 'starts with [secret FROM_ENVIRONMENT]');
  t.strictSame([...canaries.seen], [], 'found nowhere');
  // The search itself finds what is there.
  for (const path of sources) canaries.look(path, readFileSync(join(dir, path)));
  t.equal(new Set([...canaries.seen].map((seen) => seen.replace(/.*: /, ''))).size, sources.length);
});

/** What such a command prints once and keeps nowhere. */
async function tokenOf(fleet: LocalFleet, ...argv: string[]): Promise<string> {
  return readJoinString((await fleet.well(argv)).stdout.trim()).token;
}
