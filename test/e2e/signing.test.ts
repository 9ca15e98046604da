/** Who signs, from the first deployment to another machine's key, as people do it: a whole fleet with keys and certificates. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { runFleet } from '../../scripts/local/program.ts';

const CONFIG = (source: string) => `services: { web: { source: { directory: ${source} } } }
environments:
  production:
    services:
      web: { hosts: { role: web }, strategy: { min_visible: 0, settle: 0ms } }
`;
const SERVICE = `service: web
run: { supervisor: process, command: [node, server.mjs] }
hooks: { before_start: { command: [sh, -c, "touch ../../../started-$FLEET_VERSION"] } }
`;

t.test(
  'the key that signs is replaced, a version is floored, and the key moves to another machine',
  async (t) => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'fleet-signing-')));
    const source = join(dir, 'source');
    mkdirSync(source);
    const write = (version: string) =>
      writeFileSync(join(source, 'server.mjs'), `setInterval(() => {}, 1000); // ${version}\n`);
    writeFileSync(join(source, 'fleet.yaml'), SERVICE);
    const fleet = await LocalFleet.create({
      dir,
      secure: true,
      hosts: [{ host: 'a', labels: { role: 'web' } }],
      config: CONFIG(source),
    });
    t.teardown(async () => {
      await fleet.stop();
      fleet.remove();
    });
    await fleet.start();
    const root = ['--root-key', 'fleet-root.key'];
    const started = (version: string) => existsSync(join(fleet.rootOf('a'), `started-${version}`));
    const buildAndDeploy = async (version: string) => {
      write(version);
      await fleet.well(['build', 'web', '--version', version]);
      await fleet.well(['deploy', 'web', '--version', version]);
    };

    t.match((await fleet.well(['status'])).stdout, /signing: L0: the controller signs/);
    for (const version of ['1', '2', '3']) await buildAndDeploy(version);
    t.ok(started('3'));

    const rotated = await fleet.well(['keys', 'rotate', ...root]);
    t.match(rotated.stdout, /document 2, level L0: controller \([0-9a-f]{12}\) may sign\na: told/);
    t.match(
      (await fleet.well(['rollback', 'web', '--to', '1'])).stdout,
      /running=1/,
      'signed by a key that was retired',
    );
    await fleet.agents.get('a')!.stop('SIGKILL');
    await fleet.startAgent('a');
    await fleet.well(['rollback', 'web', '--to', '2']);

    t.match(
      (await fleet.well(['floor', 'web', '2', '-m', 'a hole in 1'])).stdout,
      /older than 2 are refused\na: told/,
    );
    const below = await fleet.run(['rollback', 'web', '--to', '1']);
    t.match(below, {
      code: 1,
      stderr: /the controller refuses web 1: it is older than 2.*\n.*fleet floor list/s,
    });
    t.match(
      (await fleet.run(['floor', 'web', '1', '-m', 'no'])).stderr,
      /the floor of web is 2, and 1 is older/,
    );
    await fleet.well(['deploy', 'web', '--version', '3']);
    await fleet.well(['rollback', 'web', '--to', '2']);
    t.match((await fleet.well(['floor', 'list'])).stdout, /^web {2}2 .*a hole in 1$/m);

    await fleet.well(['keys', 'make', '--out', 'ci.key']);
    const other = await fleet.run([
      'keys',
      'add',
      'ci',
      '--public-key',
      'ci.key.pub',
      '--root-key',
      'ci.key',
      '--level',
      'L1b',
    ]);
    t.match(other, { code: 1, stderr: /ci.key is not the root key of this fleet/ });
    const moved = await fleet.well([
      'keys',
      'add',
      'ci',
      '--public-key',
      'ci.key.pub',
      ...root,
      '--level',
      'L1b',
    ]);
    t.match(moved.stdout, /document 3, level L1b: ci \([0-9a-f]{12}\) may sign\na: told/);
    t.notOk(existsSync(join(dir, 'fleet-data/trust/release.key')), 'the controller has no key any more');
    t.match((await fleet.well(['status'])).stdout, /signing: L1b: another machine signs/);
    t.match((await fleet.well(['keys', 'show'])).stdout, /not signed by them: web 3, web 2, web 1/);
    t.match(await fleet.run(['deploy', 'web']), {
      code: 1,
      stderr: /builds none of web.*fleet build web --sign-key/s,
    });
    t.match((await fleet.run(['deploy', 'web', '--version', '3'])).stderr, /may not sign/);

    write('4');
    const built = await runFleet(
      ['build', 'web', '--version', '4', '--sign-key', '../ci.key', '--out', '..'],
      {
        cwd: source,
      },
    );
    t.equal(built.code, 0, built.stderr);
    t.match((await fleet.well(['push', 'web-4.fleet'])).stdout, /next: fleet deploy web --version 4/);
    t.match((await fleet.well(['push', 'web-4.fleet'])).stdout, /was there already/);
    t.match((await fleet.well(['deploy', 'web', '--version', '4'])).stdout, /running=4/);
    t.ok(started('4'));
    const [, former = ''] = /--signed-by (\S+)/.exec(moved.stdout) ?? [];
    const mine = readFileSync(join(dir, 'ci.key.pub'), 'utf8').trim();
    t.match(await fleet.run(['sign', '--sign-key', 'ci.key', '--signed-by', mine.replace(/.=$/, 'A=')]), {
      code: 1,
    });
    t.match(
      (await fleet.well(['sign', '--sign-key', 'ci.key', '--signed-by', former])).stdout,
      /signed: web 3, web 2, web 1/,
    );
    t.match(
      (await fleet.well(['rollback', 'web', '--to', '3'])).stdout,
      /running=3/,
      'and the way back is open again',
    );
    t.match(await fleet.run(['rollback', 'web', '--to', '1']), { code: 1, stderr: /older than 2/ });
    const floored = await fleet.well(['floor', 'web', '4', '-m', 'a hole in 3', '--sign-key', 'ci.key']);
    t.match(floored.stdout, /older than 4 are refused\na: told/);
  },
);
