/**
 * What `./scripts/bundle` makes, as it is installed: in a folder with nothing above it. All of it runs there: init, controller,
 * join, agent, and a deployment that takes every way by which one program of fleet's starts another.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { decodeManifest } from '@fleet/artifact/manifest.ts';
import { VERBS } from '@fleet/cli/verbs.ts';
import { service } from '@fleet/protocol/service.ts';
import t from 'tap';
import project from '../package.json' with { type: 'json' };
import { startSshd } from '../scripts/benchmarks/sshd.ts';
import { bundlePrograms, sumsOf, tarball } from '../scripts/bundles/bundle.ts';
import { ROOT } from '../scripts/bundles/code.ts';
import { addNode, cliFolder, controllerFolder } from '../scripts/bundles/contents.ts';
import { nativeIn, type Platform, requireMachine } from '../scripts/bundles/elf.ts';
import { faultOf, NODE_VERSION, nodeFor } from '../scripts/bundles/node.ts';
import { LocalFleet } from '../scripts/local/localFleet.ts';
import { freePorts } from '../scripts/local/ports.ts';
import { runFleet } from '../scripts/local/program.ts';
import { makeRepository } from '../scripts/local/repository.ts';

t.setTimeout(300_000);
const HERE = `linux-${process.arch}` as Platform;
const OTHER: Platform = HERE === 'linux-x64' ? 'linux-arm64' : 'linux-x64';

const dir = mkdtempSync(join(tmpdir(), 'fleet-bundles-'));
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
const at = (...names: string[]) => join(dir, ...names);
const say = (line: string) => t.comment(line);
const node = await nodeFor(HERE, say);
mkdirSync(at('dist'));
const programs = await bundlePrograms({ dist: at('dist'), platforms: [], now: Date.now, say });
const [agentTarball = ''] = globSync(join(programs, 'fleet-agent/*.tar.gz'));
mkdirSync(at('agent'));
execFileSync('tar', ['-xzf', agentTarball, '-C', at('agent')]);
await cliFolder(at('cli'), HERE);
await controllerFolder(at('controller'), HERE, programs);
for (const name of ['cli', 'controller']) addNode(at(name), HERE, node);
const NODE = at('controller/bin/node');
const AGENT = [NODE, at('agent/agent.js')];

const filesIn = (folder: string) =>
  globSync('**', { cwd: folder })
    .filter((path) => statSync(join(folder, path)).isFile())
    .sort();
const digestsOf = (folder: string) =>
  filesIn(folder).map((path) => [
    path,
    createHash('sha256')
      .update(readFileSync(join(folder, path)))
      .digest('hex'),
  ]);

t.test('the same comes out each time, and says nothing of where it was made', async (t) => {
  await cliFolder(at('again/cli'), HERE);
  t.strictSame(
    digestsOf(at('cli')).filter(([path]) => !path?.startsWith('bin/')),
    digestsOf(at('again/cli')),
  );
  mkdirSync(at('again/dist'));
  await bundlePrograms({ dist: at('again/dist'), platforms: [], now: Date.now, say: () => {} });
  t.strictSame(digestsOf(programs), digestsOf(at('again/dist/programs')));
  for (const name of ['one', 'two']) await tarball(at('agent'), at(`${name}.tar.gz`));
  t.ok(readFileSync(at('one.tar.gz')).equals(readFileSync(at('two.tar.gz'))), 'so do the tarballs');
  const telling = ['agent', 'cli', 'controller'].flatMap((name) =>
    filesIn(at(name))
      .filter((path) => !path.startsWith('bin/') && readFileSync(at(name, path)).includes(ROOT))
      .map((path) => `${name}/${path}`),
  );
  t.strictSame(telling, []);
  const sums = await sumsOf(at('dist'));
  t.match(sums, /^[0-9a-f]{64} {2}programs\/fleet-agent\/\S+\.tar\.gz\n$/);
  execFileSync('sha256sum', ['--check', '--quiet', '-'], { cwd: at('dist'), input: sums });
});

t.test('the agent is a release by a name that tells its content, and has no native part', async (t) => {
  const manifest = decodeManifest(readFileSync(agentTarball.replace('.tar.gz', '.manifest.json')));
  t.equal(manifest.version, `${project.version}-${manifest.identity.slice(0, 12)}`);
  t.match(service.parse(manifest.sealed), { service: 'fleet-agent', run: { supervisor: 'agent' } });
  t.strictSame(nativeIn(at('agent')), {});
});

t.test('native files are for the machine that the bundle is for', async (t) => {
  await cliFolder(at('other/cli'), OTHER);
  await controllerFolder(at('other/controller'), OTHER, programs);
  for (const name of ['cli', 'controller']) {
    t.strictSame(nativeIn(at('other', name)), { [`lib/${OTHER}.node`]: OTHER });
    t.strictSame(nativeIn(at(name)), { [`lib/${HERE}.node`]: HERE, 'bin/node': HERE });
  }
  copyFileSync(at(`cli/lib/${HERE}.node`), at('other/cli/lib/more.node'));
  t.throws(() => requireMachine(at('other/cli'), OTHER), {
    message: `lib/more.node does not run on ${OTHER}`,
  });
});

t.test('Node is the one that is known', async (t) => {
  t.match(readFileSync(join(ROOT, 'scripts/node24.sh'), 'utf8'), `node_version=${NODE_VERSION}\n`);
  t.equal(execFileSync(NODE, ['--version'], { encoding: 'utf8' }), `v${NODE_VERSION}\n`);
  t.equal(await faultOf(node, HERE), undefined);
  t.equal(await faultOf(node, OTHER), 'its bin/node is not the one that is known here');
  const folder = t.testdir({ LICENSE: readFileSync(join(node, 'LICENSE'), 'utf8'), bin: {} });
  t.equal(await faultOf(folder, HERE), 'it has no bin/node');
  copyFileSync(join(node, 'bin/node'), join(folder, 'bin/node'));
  appendFileSync(join(folder, 'bin/node'), '\0');
  t.equal(await faultOf(folder, HERE), 'its bin/node is not the one that is known here', 'a byte more');
});

t.test('the command line by itself', async (t) => {
  const cwd = t.testdir();
  symlinkSync(at('cli/fleet'), at('linked'));
  const fleet = (...argv: string[]) => runFleet(argv, { cwd, program: [at('linked')] });
  t.match(await fleet('--version'), { code: 0, stdout: `${project.version}\n` });
  t.match(await fleet('init', 'service', '--name', 'shop'), { code: 0, stdout: /wrote fleet.yaml/ });
  t.match(readFileSync(join(cwd, 'fleet.yaml'), 'utf8'), 'service: shop');
  t.match(await fleet('controller'), { code: 2, stderr: /fleet-controller-VERSION-PLATFORM\.tar\.gz/ });
  const loaded = Object.values(VERBS)
    .flat()
    .filter(({ load }) => load !== undefined);
  for (const { name } of loaded)
    t.match(await fleet(name, '--help'), { code: 0, stdout: /^Usage: fleet/ }, name);
});

const NO_SSHD = process.getuid?.() !== 0 || !existsSync('/usr/sbin/sshd');

t.test('the command line speaks SSH', { skip: NO_SSHD && 'needs root and sshd' }, async (t) => {
  const sshd = await startSshd();
  t.teardown(() => sshd.stop());
  const keys = dirname(sshd.config);
  const [, port = ''] = /^Port (\d+)/m.exec(readFileSync(join(keys, 'sshd_config'), 'utf8')) ?? [];
  const login = ['--port', port, '--key', join(keys, 'user'), '--known-hosts', join(keys, 'known_hosts')];
  // Looks, and says what it would do to this machine.
  const argv = ['hosts', 'clean', 'here=127.0.0.1', ...login, '--dry-run', '--anyway'];
  const program = [at('cli/fleet')];
  const ran = await runFleet([...argv, '--controller', 'https://127.0.0.1:1'], { cwd: dir, program });
  t.match(ran, {
    code: 0,
    stdout: /RECAP hosts clean, a dry run[\s\S]*here +: ok=\d+ +changed=0 +unreachable=0/,
  });
});

function addHook(repository: string, version: string): void {
  const file = join(repository, 'package.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('1.1.0', version));
  appendFileSync(
    join(repository, 'fleet.yaml'),
    `hooks: { before_start: { command: [touch, ${join(repository, '../hooked')}] } }\n`,
  );
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: repository,
    });
  git('commit', '--quiet', '--all', '--message', 'Leave a mark');
  git('tag', `v${version}`);
}

t.test('a fleet of nothing but bundles', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'fleet-bundled-'));
  const [port = 0] = await freePorts(1);
  makeRepository(join(home, 'segmenter'));
  addHook(join(home, 'segmenter'), '2.0.0');
  const fleet = await LocalFleet.create({
    dir: home,
    secure: true,
    installed: { fleet: [at('controller/fleet')], agent: AGENT },
    hosts: [{ host: 'web-1', labels: { role: 'segmenter', port } }],
    config: `data: ./data
services:
  segmenter: { source: { git: ./segmenter, ref: main } }
environments:
  production:
    services:
      segmenter:
        hosts: { role: segmenter }
        strategy: { settle: 100ms, min_visible: 0, patience: 5s }
        values:
          PORT: { label: port }
          DATABASE: ${join(home, 'visitors.sqlite')}
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    rmSync(home, { recursive: true, force: true });
  });
  await fleet.start();

  // Built (a thread packs), unpacked (by a child where this is root), migrated, started (by the shim), checked.
  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.0.0']);
  await fleet.well(['deploy', 'segmenter', '--ref', 'v2.0.0']);
  t.match((await fleet.well(['recap', '2'])).stdout, /segmenter 2\.0\.0/);
  t.equal(readFileSync(join(home, 'hooked'), 'utf8'), '', 'its hook has run');
  await fleet.well(['rollback', 'segmenter', '-y']);
  // And so by the command line alone, with the login of the one that ran init.
  const cli = { program: [at('cli/fleet')] };
  t.match((await fleet.well(['status'], cli)).stdout, /web-1 +1\.0\.0 +running/);
  await fleet.well(['backup', join(home, 'backup')], cli);
  await fleet.controller?.stop();
  t.match(await fleet.well(['restore', join(home, 'backup'), '--replace']), {
    stdout: /restored the backup/,
  });
  await fleet.startController();

  for (const file of ['', 'static/swagger-ui.css', 'static/logo.svg', 'json']) {
    const response = await fleet.ask(`/docs/${file}`, fleet.login.token);
    t.equal(response.statusCode, 200, `/docs/${file}`);
    t.ok((await text(response)).length > 100);
  }
  const [given] = (await fleet.get('/api/programs')) as Array<{ version: string; signed: object | null }>;
  t.ok(agentTarball.endsWith(`/${given?.version}.tar.gz`), 'the agent that came with the controller');
  t.ok(given?.signed);

  for (const [name, pid] of [
    ['controller', fleet.controller?.pid],
    ['agent', fleet.agents.get('web-1')?.pid],
  ])
    t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /--max-semi-space-size=1/, `the ${name} is lean`);
  const services = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  t.ok(
    services.some((line) => line.includes(at('agent/shim.mjs')) && line.includes(home)),
    'its own shim',
  );
});
