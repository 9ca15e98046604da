/** Fleet replaces its own agents, on booted hosts, by their real unit: good releases, broken ones, and everything that comes in between. */
import { cpSync, existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import type { Machine, Ran } from '../../scripts/machines/machine.ts';
import { RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';
import { type Broken, Programs } from '../fixtures/programs.ts';

const AGENT = { first: '0.1.0-first', second: '0.1.0-second', third: '0.1.0-third' } as const;
const SECOND_NODE = '24.21.0-another';
const HOSTS = ['web1', 'web2'];
const ROOT = '/srv/fleet';

/** The most delicate kind of service: below the agent, in its own cgroup. */
const TICKER = `service: ticker
run:
  supervisor: process
  command: [/bin/sleep, "1000000"]
hooks:
  before_start: { command: [/bin/sh, -c, "while test -e /var/tmp/wait; do sleep 0.05; done"], repeatable: true }
`;
const CONFIG = `programs: ./programs
profiles:
  plain: { labels: { environment: production } }
services:
  ticker: { source: { directory: ./ticker } }
environments:
  production:
    services:
      ticker: { hosts: { environment: production }, strategy: { settle: 0s, batch: [2] } }
`;

const MINUTES = { timeout: 400_000 };
t.setTimeout(MINUTES.timeout);

t.test('agents are upgraded', { skip: skipWithoutMachines(), ...MINUTES }, async (t) => {
  const fleet = await RealFleet.create({ hosts: HOSTS, inHaproxy: [], config: () => CONFIG });
  t.teardown(() => fleet.remove());
  const programs = await Programs.make(join(fleet.dir, 'programs'), join(fleet.dir, 'work'));
  for (const version of Object.values(AGENT)) await programs.good(version);
  for (const how of ['exits', 'hangs', 'illiterate', 'sick'] as const)
    await programs.broken(`0.1.0-${how}`, how);
  mkdirSync(join(fleet.dir, 'ticker'));
  writeFileSync(join(fleet.dir, 'ticker/fleet.yaml'), TICKER);

  const NODE = { first: programs.shippedNode(), second: SECOND_NODE };
  await Promise.all([fleet.boot(...HOSTS), programs.node(NODE.second)]);
  // All of them are on the shelf from here on.
  await fleet.startController();
  only(AGENT.first, NODE.first);
  await fleet.controller!.stop();
  await fleet.startController();
  const named = HOSTS.map((name) => `${name}=${fleet.addressOf(name)}`);
  const ssh = ['--key', fleet.sshKey, '--known-hosts', fleet.knownHosts];
  await fleet.well('hosts', 'add', '-p', 'plain', ...named, '-P', ...ssh);
  await waitUntil('both have proven themselves', () =>
    HOSTS.every((name) => proven(name) === `${AGENT.first} ${NODE.first}`),
  );
  await fleet.well('deploy', 'ticker', '--version', await built());

  const pids = () =>
    HOSTS.map(
      (name) => (JSON.parse(on(name, 'ticker/run/state.json')) as { program: { pid: number } }).program.pid,
    );
  const before = pids();
  const untouched = (t: Test) => t.same(pids(), before, 'services have gone on, untouched');

  await t.test('to the newest, host after host, and once', MINUTES, async (t) => {
    only(AGENT.second, NODE.first);
    await again();
    t.match(
      (await fleet.well('agents')).stdout,
      new RegExp(`web1 +connected +agent ${AGENT.first} → ${AGENT.second} +node ${NODE.first}\n`),
    );
    const dry = await fleet.well('agents', 'upgrade', '--dry-run');
    t.match(dry.stdout, `plan: fleet-agent ${AGENT.second} to fleet`);
    t.equal(current('web1', 'fleet-agent'), AGENT.first, 'a plan changes nothing');
    const upgraded = await fleet.well('agents', 'upgrade');
    t.match(upgraded.stdout, /web1 .*failed=0.*running=0\.1\.0-second/);
    t.match(upgraded.stdout, /web2 .*failed=0.*running=0\.1\.0-second/);
    t.match(upgraded.stdout, /staged: \d+ files, [0-9.]+ [kM]B sent/);
    t.comment(upgraded.stdout.split('\n').find((line) => line.includes(' sent ')));
    for (const name of HOSTS) t.equal(proven(name), `${AGENT.second} ${NODE.first}`);
    t.match((await fleet.well('agents', 'upgrade')).stdout, /all 2 hosts already: nothing to do/);
    t.comment(
      `idle: ${well(fleet.machine('web1'), 'sh', '-c', 'grep -h Rss /proc/$(systemctl show -P MainPID fleet-agent)/status').trim()}`,
    );
  });

  const failing: Array<[Broken, RegExp]> = [
    [
      'exits',
      /fleet-agent 0\.1\.0-exits ended with exit status 7 before the controller had answered it; 0\.1\.0-second is back[\s\S]*it cannot go on/,
    ],
    ['hangs', /fleet-agent 0\.1\.0-hangs did not reach the controller in 4s; 0\.1\.0-second is back/],
    ['illiterate', /0\.1\.0-illiterate ended with exit status 1 before[\s\S]*no record: /],
    ['sick', /the self-test of 0\.1\.0-sick \S+ failed: [\s\S]*a part of it is missing/],
  ];
  for (const [how, says] of failing)
    await t.test(`one that ${how}: the former one comes back`, MINUTES, async (t) => {
      limit('4s');
      const ran = await fleet.run('deploy', 'fleet-agent', '--version', `0.1.0-${how}`);
      t.equal(ran.code, 5, 'every host runs what it ran before');
      t.match(ran.stdout, says);
      t.match(ran.stdout, /web1 .*failed=1 .*rescued=1 .*running=0\.1\.0-second/);
      t.match(ran.stdout, /web2 .*ok=0 .*failed=0 .*running=0\.1\.0-second/, 'no later host is begun');
      t.equal(current('web1', 'fleet-agent'), AGENT.second);
      untouched(t);
    });

  await t.test('another Node', MINUTES, async (t) => {
    limit('60s');
    only(AGENT.second, NODE.second);
    await again();
    const ran = await fleet.well('agents', 'upgrade', '--batch', '2');
    t.match(ran.stdout, `fleet-node ${SECOND_NODE}`);
    for (const name of HOSTS) {
      t.equal(proven(name), `${AGENT.second} ${NODE.second}`);
      t.match(
        well(fleet.machine(name), 'sh', '-c', 'readlink /proc/$(systemctl show -P MainPID fleet-agent)/exe'),
        NODE.second,
      );
    }
    untouched(t);
  });

  await t.test('one that stands still is started anew', MINUTES, async (t) => {
    const machine = fleet.machine('web1');
    limit('60s', 'WatchdogSec=3s');
    well(machine, 'systemctl', 'restart', 'fleet-agent');
    const shown = (property: string) =>
      well(machine, 'systemctl', 'show', '-P', property, 'fleet-agent').trim();
    const first = shown('MainPID');
    const pings = new Set<string>();
    await waitUntil(
      'it says again and again that it lives',
      () => pings.add(shown('WatchdogTimestampMonotonic')).size > 4,
    );
    t.equal(shown('MainPID'), first, 'who lives is left alone');
    well(machine, 'kill', '-STOP', first);
    await waitUntil(
      'another one is there',
      () => shown('ActiveState') === 'active' && shown('MainPID') !== first,
    );
    t.equal(proven('web1'), `${AGENT.second} ${NODE.second}`);
    untouched(t);
  });

  await t.test('a power cut in the middle of a trial', MINUTES, async (t) => {
    limit('60s');
    const deploying = fleet.run('deploy', 'fleet-agent', '--version', '0.1.0-hangs', '--host', 'web2');
    await onTrial('web2', '0.1.0-hangs');
    const machine = fleet.machine('web2');
    await machine.cutPower();
    await machine.boot();
    const ran = await deploying;
    t.equal(ran.code, 5);
    t.match(
      ran.stdout,
      /was interrupted: its host was started anew before the controller had answered it; 0\.1\.0-second is back/,
    );
    t.match(ran.stdout, /web2 .*failed=1 .*rescued=1 .*running=0\.1\.0-second/);
    await waitUntil('its service runs again, after the reboot', () => pids()[1] !== before[1]);
    before[1] = pids()[1]!;
    untouched(t);
  });

  await t.test('the controller dies in the middle of a trial', MINUTES, async (t) => {
    const deploying = fleet.run('deploy', 'fleet-agent', '--version', AGENT.third, '--batch', '2');
    await onTrial('web1', AGENT.third);
    await fleet.controller!.stop('SIGKILL');
    await fleet.startController();
    const ran = await deploying;
    t.equal(ran.code, 0, ran.stdout + ran.stderr);
    for (const name of HOSTS) t.equal(proven(name), `${AGENT.third} ${NODE.second}`);
    const back = await fleet.well('rollback', 'fleet-agent');
    t.match(back.stdout, `rolling back fleet-agent to ${AGENT.second} in fleet: web1, web2`);
    for (const name of HOSTS) t.equal(proven(name), `${AGENT.second} ${NODE.second}`);
    untouched(t);
  });

  await t.test('never beside another deployment of a host', MINUTES, async (t) => {
    const gate = join(fleet.machine('web1').root, 'var/tmp/wait');
    const version = await built('ticker two');
    // An upgrade that waits, and a deployment that comes.
    const upgrading = fleet.run('deploy', 'fleet-agent', '--version', '0.1.0-hangs', '--host', 'web1');
    await onTrial('web1', '0.1.0-hangs');
    const refused = await fleet.run('deploy', 'ticker', '--version', version);
    t.equal(refused.code, 3);
    t.match(refused.stdout + refused.stderr, /fleet itself is being replaced on web1 \(deployment \d+ of /);
    t.match(refused.stdout + refused.stderr, /fleet attach \d+/);
    well(fleet.machine('web1'), 'systemctl', 'kill', '--kill-who=main', '--signal=KILL', 'fleet-agent');
    t.equal((await upgrading).code, 5);
    untouched(t);
    // The other way round: the hook of a deployment is at work.
    writeFileSync(gate, '');
    const deploying = fleet.run('deploy', 'ticker', '--version', version, '--host', 'web1');
    await waitUntil(
      'its hook is at work',
      () => fleet.machine('web1').run(['pgrep', '-f', 'var/tmp/wait']).code === 0,
    );
    const busy = await fleet.run('deploy', 'fleet-agent', '--version', AGENT.first);
    t.equal(busy.code, 3);
    t.match(busy.stdout + busy.stderr, /ticker in production is being deployed to web1 by /);
    rmSync(gate);
    t.equal((await deploying).code, 0);
  });

  /** The programs folder has just these; what is on the shelf stays. */
  function only(agent: string, node: string): void {
    for (const [service, version] of [
      ['fleet-agent', agent],
      ['fleet-node', node],
    ] as const) {
      const folder = join(programs.folder, service);
      if (!existsSync(`${folder}.all`)) cpSync(folder, `${folder}.all`, { recursive: true });
      rmSync(folder, { recursive: true });
      cpSync(`${folder}.all`, folder, {
        recursive: true,
        filter: (path) => path === `${folder}.all` || basename(path).startsWith(version),
      });
    }
  }
  async function again(): Promise<void> {
    await fleet.controller!.stop();
    await fleet.startController();
    await waitUntil('both are back', async () => {
      const hosts = JSON.parse((await fleet.well('hosts', '--json')).stdout) as Array<{ connected: boolean }>;
      return hosts.filter(({ connected }) => connected).length === HOSTS.length;
    });
  }
  async function built(version = 'ticker one'): Promise<string> {
    writeFileSync(join(fleet.dir, 'ticker/note'), version);
    const ran: Ran = await fleet.well('build', 'ticker', '--version', version.replace(' ', '-'), '--json');
    t.ok(ran.stdout);
    return version.replace(' ', '-');
  }
  function limit(time: string, more = ''): void {
    for (const name of HOSTS) {
      const folder = join(fleet.machine(name).root, 'etc/systemd/system/fleet-agent.service.d');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'limit.conf'), `[Service]\nTimeoutStartSec=${time}\n${more}\n`);
      well(fleet.machine(name), 'systemctl', 'daemon-reload');
    }
  }
  function on(name: string, path: string): string {
    return readFileSync(join(fleet.machine(name).root, ROOT, path), 'utf8');
  }
  function proven(name: string): string | undefined {
    try {
      return on(name, 'fleet-agent/run/proven').trim();
    } catch {
      return undefined;
    }
  }
  function current(name: string, service: string): string {
    return readlinkSync(join(fleet.machine(name).root, ROOT, service, 'current'))
      .split('/')
      .at(-1)!;
  }
  /** Its unit has started it, and it has not proven itself. */
  async function onTrial(name: string, version: string): Promise<void> {
    await waitUntil(`${version} is on trial on ${name}`, () => {
      const path = join(fleet.machine(name).root, ROOT, 'fleet-agent/run/tried');
      return existsSync(path) && readFileSync(path, 'utf8').startsWith(`${version} `);
    });
  }
});

/** What it printed. Throws where it does not end well. */
function well(machine: Machine, ...argv: string[]): string {
  const { code, stdout, stderr } = machine.run(argv);
  if (code === 0) return stdout;
  throw new Error(`${machine.name}: ${argv.join(' ')} ended with ${code}: ${stdout}${stderr}`);
}
