/**
 * A real application that nobody here wrote: Node-RED from npm, on three hosts behind HAProxy, under load. Controller,
 * agents and command line are processes of their own, started as a user starts them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askHaproxy } from '@fleet/balancers/haproxy/socket.ts';
import { skipWithoutHaproxy, startHaproxy } from '@fleet/balancers/haproxy.fixture.ts';
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import t from 'tap';
import { startLoad } from '../../scripts/local/load.ts';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { waitUntil } from '../../scripts/local/program.ts';

t.setTimeout(600_000);
const skip = skipWithoutHaproxy();
const HOSTS = ['red-a', 'red-b', 'red-c'] as const;

const FLEET_YAML = `service: node-red
build:
  command: [npm, install, --omit=dev, --ignore-scripts, --no-audit, --no-fund, --loglevel=error]
package:
  exclude: [fleet.yaml, .gitignore]
variables:
  PORT: {}
run:
  supervisor: process
  command: [node, node_modules/node-red/red.js, --settings, settings.js]
  environment: { PORT: "\${PORT}" }
smoke:
  - { name: answers, kind: http, port: "\${PORT}", path: /settings, contains: "\${VERSION}", within: 60s }
shared: [data]
`;
const SETTINGS = `module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(process.env.PORT),
  userDir: __dirname + '/data',
  flowFile: 'flows.json',
  telemetry: { enabled: false, updateNotification: false },
};
`;
const WORKER_YAML = `service: worker
run:
  supervisor: process
  command: [node, worker.js]
`;

function makeRepository(dir: string): void {
  mkdirSync(dir);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: dir,
      stdio: 'ignore',
    });
  git('init', '--initial-branch', 'main');
  writeFileSync(join(dir, 'fleet.yaml'), FLEET_YAML);
  writeFileSync(join(dir, 'settings.js'), SETTINGS);
  writeFileSync(join(dir, '.gitignore'), 'node_modules\n');
  for (const version of ['4.0.8', '4.0.9']) {
    const manifest = { name: 'our-node-red', private: true, dependencies: { 'node-red': version } };
    writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest, null, 2));
    git('add', '.');
    git('commit', '-m', `Node-RED ${version}`);
    git('tag', `v${version}`);
  }
}

function makeWorker(dir: string): void {
  mkdirSync(dir);
  writeFileSync(join(dir, 'fleet.yaml'), WORKER_YAML);
  writeFileSync(join(dir, 'worker.js'), `setInterval(() => console.log('still at work'), 100);\n`);
}

t.test('Node-RED on three hosts behind HAProxy', { skip }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-e2e-'));
  const ports = await freePorts(HOSTS.length);
  const portOf = Object.fromEntries(HOSTS.map((host, index) => [host, ports[index]!]));
  const servers = HOSTS.map((host) => ({ name: host, port: portOf[host]! }));
  const haproxy = await startHaproxy({ dir, backends: [{ name: 'red', servers }] });
  makeRepository(join(dir, 'node-red'));
  makeWorker(join(dir, 'worker'));
  const fleet = await LocalFleet.create({
    dir,
    hosts: [
      ...HOSTS.map((host) => ({ host, labels: { role: 'red', port: portOf[host]! } })),
      { host: 'worker-1', labels: { role: 'worker' } },
    ],
    config: `data: ./data
services:
  node-red: { source: { git: ./node-red, ref: main } }
  worker: { source: { directory: ./worker } }
balancers:
  front: { kind: haproxy, address: ${haproxy.socket} }
environments:
  production:
    services:
      node-red:
        hosts: { role: red }
        balancer: { name: front, backend: red }
        strategy: { settle: 1s, drain: 60s }
        values: { PORT: { label: port } }
      worker:
        hosts: { role: worker }
        strategy: { settle: 500ms }
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    await haproxy.stop();
    fleet.remove();
  });
  await fleet.start();

  const run = async (...argv: string[]) => {
    const ran = await fleet.run(argv);
    t.equal(ran.code, 0, `fleet ${argv.join(' ')}`) || t.comment(ran.stdout + ran.stderr);
    return ran.stdout;
  };
  const admin = async (host: string) => {
    const rows = (await askHaproxy(haproxy.socket, 'show servers state red', 5000)).split('\n');
    return Number(rows.map((row) => row.split(' ')).find((fields) => fields[3] === host)?.[6]);
  };
  const versionAt = async (host: string) => {
    const response = await fetch(`http://127.0.0.1:${portOf[host]}/settings`);
    return ((await response.json()) as { version: string }).version;
  };

  // Somebody has taken the last host out, for reasons of their own.
  await askHaproxy(haproxy.socket, 'set server red/red-c state maint', 5000);

  t.match(await run('deploy', 'node-red', '--ref', 'v4.0.8'), /RECAP node-red 4\.0\.8 production/);
  for (const host of HOSTS) t.equal(await versionAt(host), '4.0.8', `${host} answers with the first version`);
  await run('build', 'node-red', '--ref', 'v4.0.9');

  const load = startLoad(`http://127.0.0.1:${haproxy.port}/settings`, { clients: 6, pauseMs: 2 });
  // Open connections keep the hosts from draining, so that there is a moment to strike.
  const editors = await Promise.all([0, 1].map(() => openEditor(haproxy.port)));
  const deploying = fleet.run(['deploy', 'node-red', '--serial']);

  await waitUntil('a host is hidden and not yet given the new version', async () => {
    const steps = await stepsOf(fleet, 2);
    const drains = steps.find((step) => step.kind === 'drain' && step.state === 'running');
    return (
      drains !== undefined &&
      steps.some((step) => step.host === drains.host && step.kind === 'hide' && step.state === 'done')
    );
  });
  await fleet.controller!.stop('SIGKILL');
  t.pass('the controller was killed between hide and activate');
  await fleet.startController();
  for (const editor of editors) editor.close();

  const { code, stdout } = await deploying;
  t.equal(code, 0, 'the deployment was finished, and the terminal that watched it knows') ||
    t.comment(stdout);
  t.match(stdout, /RECAP node-red 4\.0\.9 production, deployment 2/);
  for (const host of HOSTS) {
    t.equal(await versionAt(host), '4.0.9', `${host} answers with the new version`);
    t.match(
      stdout,
      new RegExp(`^${host} +: ok=\\d+ +changed=\\d+ +unreachable=0 +failed=0 .* running=4\\.0\\.9$`, 'm'),
    );
  }
  const ended = (await stepsOf(fleet, 2)).filter((step) => step.kind === 'activate');
  t.equal(ended.length, 3, 'each host was given the version once');

  t.match(
    await run('rollback', 'node-red', '--host', 'red-b', '--to', '4.0.8', '-y'),
    /RECAP node-red 4\.0\.8 production/,
  );
  t.strictSame(
    [await versionAt('red-a'), await versionAt('red-b'), await versionAt('red-c')],
    ['4.0.9', '4.0.8', '4.0.9'],
    'the old version is there and only there',
  );

  await waitUntil('10,000 requests were sent', () => load.sent >= 10_000);
  await load.stop();
  t.comment(`${load.sent} requests, ${load.failed} failed; answered ${JSON.stringify([...load.versions])}`);
  t.ok(load.sent >= 10_000, 'at least 10,000 requests');
  t.equal(load.failed, 0, 'none of them failed') || t.comment(load.failures.join('\n'));
  t.ok(
    (load.versions.get('4.0.8') ?? 0) > 0 && (load.versions.get('4.0.9') ?? 0) > 0,
    'both versions answered',
  );

  // 1 is forced maintenance, as it was set by hand.
  t.equal(await admin('red-c'), 1, 'the host that somebody else took out is still out');
  t.equal(await admin('red-a'), 0, 'the others are in');

  t.match(await run('deploy', 'worker'), /RECAP worker .* production/);
  const log = readFileSync(join(fleet.rootOf('worker-1'), 'worker/run/log'), 'utf8');
  t.match(log, /still at work/, 'a service with neither port nor balancer runs');
});

async function stepsOf(fleet: LocalFleet, deployment: number): Promise<StepRow[]> {
  const response = await fetch(`${fleet.url}/api/deployments/${deployment}`).catch(() => null);
  return response?.ok ? ((await response.json()) as { steps: StepRow[] }).steps : [];
}

function openEditor(port: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/comms`);
    socket.addEventListener('open', () => resolve(socket));
    socket.addEventListener('error', () => reject(new Error('the editor did not connect')));
  });
}
