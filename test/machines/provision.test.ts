/** `fleet hosts add` and `fleet hosts clean` on booted machines: three at once, once more, put right, taken off again. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import type { Machine } from '../../scripts/machines/machine.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const HOSTS = ['web1', 'web2', 'web3'];
const PROFILES = `profiles:
  web:
    labels: { environment: production, role: segmenter }
    packages: [fleet-hello]
    users: { reporter: { groups: [adm], home: /var/lib/reporter } }
    files:
      - { path: /etc/segmenter/segmenter.conf, source: segmenter.conf, group: segmenter, mode: "0640" }
    steps:
      - { name: marker, command: [sh, -c, 'echo "$0" > /etc/marked', "it's $HOME"], unless: [test, -e, /etc/marked] }
    hooks:
      - { name: told, command: [sh, -c, 'echo "$1 $2" >> told', told, '{host}', '{address}'], unless: [grep, -q, '{host}', told] }
`;

t.setTimeout(300_000);

t.test('three machines become hosts', { skip: skipWithoutMachines(), timeout: 300_000 }, async (t) => {
  const fleet = await RealFleet.create({ hosts: HOSTS, config: (each) => fleetConfig(each, PROFILES) });
  t.teardown(() => fleet.remove());
  writeFileSync(join(fleet.dir, 'segmenter.conf'), 'level: info\n');
  writeFileSync(join(fleet.dir, 'told'), '');
  await fleet.boot(...HOSTS);
  for (const host of HOSTS) addPackages(fleet.machine(host));
  await fleet.startController();
  const named = HOSTS.map((host) => `${host}=${fleet.addressOf(host)}`);
  const ssh = ['--key', fleet.sshKey, '--known-hosts', fleet.knownHosts];
  const add = (...argv: string[]) => fleet.run('hosts', 'add', '-p', 'web', ...argv, ...ssh);
  const web1 = fleet.machine('web1');
  const bare = treeOf(web1);
  const before = whoAndWhat(web1);

  await t.test('a dry run says every act, and changes nothing', { timeout: 240_000 }, async (t) => {
    const ran = await add(...named, '-P', '--dry-run');
    t.equal(ran.code, 0, ran.stdout + ran.stderr);
    for (const said of [
      'install fleet-hello',
      'make the user fleet',
      'write /etc/sudoers.d/fleet',
      'join as web1',
    ])
      t.ok(ran.stdout.includes(`would       ${said}`), said);
    t.same(differences(bare, treeOf(web1)), []);
    t.same(JSON.parse((await fleet.well('hosts', 'joined', '--json')).stdout), [], 'and nobody has joined');
    t.same(JSON.parse((await fleet.well('token', 'list', '--json')).stdout), [], 'no token was made');
  });

  await t.test('all three at once, and they are connected', { timeout: 240_000 }, async (t) => {
    const since = performance.now();
    const ran = await add(...named, '-P', '--hooks', '--json');
    t.equal(ran.code, 0, ran.stderr);
    const { hosts, exit } = JSON.parse(ran.stdout) as Document;
    t.equal(exit, 0);
    for (const { host, changed, failed, sentBytes, running } of hosts) {
      t.equal(failed, 0, host);
      t.ok(changed > 20, `${host} was changed in ${changed} ways`);
      t.ok(sentBytes > 1_000_000, `${sentBytes} bytes of programs were sent`);
      t.match(running, /^\d/);
    }
    t.comment(
      `three at once: ${Math.round(performance.now() - since)} ms, ${hosts[0]?.sentBytes} bytes each`,
    );
    const seen = JSON.parse((await fleet.well('hosts', '--json')).stdout) as Array<{
      host: string;
      connected: boolean;
    }>;
    t.same(
      seen.map(({ host, connected }) => [host, connected]),
      HOSTS.map((host) => [host, true]),
    );
    t.equal(
      readFileSync(join(fleet.dir, 'told'), 'utf8').trim().split('\n').sort().join(),
      HOSTS.map((host) => `${host} ${fleet.addressOf(host)}`).join(),
    );
    t.equal(web1.run(['cat', '/etc/marked']).stdout, "it's $HOME\n", 'a word is a word, whatever is in it');
    t.match(web1.run(['fleet-hello']).stdout, 'hello', 'the package is installed');
    t.match(
      web1.run(['stat', '-c', '%U:%G %a', '/etc/segmenter/segmenter.conf']).stdout,
      'root:segmenter 640',
    );
  });

  await t.test(
    'users, rules of sudo and keys are what docs/on-a-host.md says',
    { timeout: 240_000 },
    async (t) => {
      const after = whoAndWhat(web1);
      t.equal(after.authorized, before.authorized, 'nothing that could log in is left behind');
      t.same(
        after.users
          .filter((line) => !before.users.includes(line))
          .map((line) => line.replace(/:\d+:\d+:/, ':N:N:')),
        [
          'fleet:x:N:N::/var/lib/fleet:/usr/sbin/nologin',
          'segmenter:x:N:N::/nonexistent:/usr/sbin/nologin',
          'reporter:x:N:N::/var/lib/reporter:/usr/sbin/nologin',
        ],
      );
      t.match(
        after.shadow.filter((line) => !before.shadow.includes(line)).map((line) => line.split(':')[1]),
        ['!', '!', '!'],
        'no password',
      );
      t.same(after.sudoers, [...before.sudoers, 'fleet'].sort());
      t.match(
        web1.run([
          'stat',
          '-c',
          '%U:%G %a',
          '/etc/sudoers.d/fleet',
          '/var/lib/fleet',
          '/srv/fleet',
          '/etc/fleet/agent.yaml',
        ]).stdout,
        'root:root 440\nfleet:fleet 700\nfleet:fleet 755\nroot:root 644\n',
      );
      t.notMatch(
        web1.run(['cat', '/etc/sudoers.d/fleet']).stdout,
        /\(root\).*ALL$/m,
        'not everything as root',
      );
      t.equal(web1.run(['runuser', '-u', 'fleet', '--', 'sudo', '-n', 'true']).code, 1);
      t.equal(
        web1.run(['id', '-nG', 'fleet']).stdout.trim().split(' ').sort().join(' '),
        'fleet segmenter systemd-journal',
      );
    },
  );

  await t.test('once more: nothing is changed', { timeout: 240_000 }, async (t) => {
    const was = treeOf(web1);
    const ran = await add(...named, '-P', '--hooks', '--json');
    t.equal(ran.code, 0, ran.stderr);
    for (const { host, changed, ok } of (JSON.parse(ran.stdout) as Document).hosts) {
      t.equal(changed, 0, host);
      t.ok(ok > 20);
    }
    t.same(differences(was, treeOf(web1)), []);
  });

  await t.test('the first deployment, by systemd and without root', { timeout: 240_000 }, async (t) => {
    const ran = await fleet.run('deploy', 'segmenter', '--batch', '1');
    t.equal(ran.code, 0, ran.stdout + ran.stderr);
    t.match(
      web1.run(['ps', '-C', 'node', '-o', 'user=']).stdout +
        web1.run(['systemctl', 'show', '-p', 'User,ActiveState', 'fleet-segmenter.service']).stdout,
      'User=segmenter\nActiveState=active',
    );
  });

  await t.test('what differs is put right, and said', { timeout: 240_000 }, async (t) => {
    web1.run(['rm', '/etc/sudoers.d/fleet']);
    web1.run(['chmod', '0666', '/etc/fleet/agent.yaml']);
    web1.run(['sh', '-c', 'echo >> /etc/systemd/system/fleet-segmenter.service']);
    web1.run(['sh', '-c', 'echo damaged >> /srv/fleet/fleet-agent/current/agent.js']);
    web1.run(['gpasswd', '-d', 'fleet', 'segmenter']);
    web1.run(['systemctl', 'disable', '--now', 'fleet-agent']);
    const ran = await add(named[0]!, '--hooks', '--json');
    t.equal(ran.code, 0, ran.stderr);
    const [{ acts }] = (JSON.parse(ran.stdout) as Document).hosts as [Document['hosts'][number]];
    t.match(
      acts
        .filter(({ outcome }) => outcome === 'changed')
        .map(({ says }) => says.replace(/, root:root .* bytes$/, '')),
      [
        'add fleet to segmenter',
        '/etc/fleet/agent.yaml: root:root 0644',
        'change /etc/systemd/system/fleet-segmenter.service',
        'write /etc/sudoers.d/fleet',
        /^put fleet-agent .* in place$/,
        /^current of fleet-agent/,
        'let systemd read its units anew',
        'enable fleet-agent.service',
        'start fleet-agent.service',
      ],
    );
    t.match(web1.run(['systemctl', 'is-active', 'fleet-segmenter']).stdout, /^active/, 'the service went on');
  });

  await t.test('an agent that was started before its files were put there is started anew', async (t) => {
    await waitUntil(
      'a second has passed',
      () =>
        web1.run([
          'sh',
          '-c',
          'touch /etc/fleet/agent.yaml; test "$(stat -c %Z /etc/fleet/agent.yaml)" -gt "$(date -d "$(systemctl show -p ExecMainStartTimestamp --value fleet-agent)" +%s)"',
        ]).code === 0,
    );
    const { hosts } = JSON.parse((await add(named[0]!, '--json')).stdout) as Document;
    t.same(
      hosts[0]?.acts.filter(({ outcome }) => outcome === 'changed').map(({ says }) => says),
      ['restart fleet-agent.service'],
    );
    t.equal((JSON.parse((await add(named[0]!, '--json')).stdout) as Document).hosts[0]?.changed, 0);
  });

  await t.test('a host is taken out, and off', { timeout: 240_000 }, async (t) => {
    const still = await fleet.run('hosts', 'clean', named[0]!, ...ssh);
    t.equal(still.code, 1);
    t.match(still.stdout, 'fleet hosts remove web1');
    const removed = await fleet.run('hosts', 'remove', 'web1', '-m', 'it is given back');
    t.equal(removed.code, 0, removed.stdout + removed.stderr);
    const cleaned = await fleet.run('hosts', 'clean', named[0]!, '--with-data', ...ssh);
    t.equal(cleaned.code, 0, cleaned.stdout + cleaned.stderr);
    const after = whoAndWhat(web1);
    t.same(after, before, 'users, rules of sudo and keys are those that were there before');
    const left = differences(bare, treeOf(web1)).filter(
      (path) =>
        !/^\/(var\/(lib\/(reporter|dpkg|apt)|cache|log)|etc\/(segmenter|marked|.*-$)|usr\/bin\/fleet-hello)/.test(
          path,
        ),
    );
    t.same(
      left,
      ['/etc/group', '/etc/gshadow', '/etc/passwd', '/etc/shadow'].filter((path) => left.includes(path)),
      'nothing of fleet is left',
    );
    t.match(web1.run(['systemctl', 'list-units', '--all', 'fleet-*']).stdout, '0 loaded units');
    t.equal((await fleet.run('hosts', 'clean', named[0]!, ...ssh)).code, 0, 'once more: nothing to do');
  });
});

interface Document {
  exit: number;
  hosts: Array<{
    host: string;
    ok: number;
    changed: number;
    failed: number;
    running: string | null;
    sentBytes: number;
    acts: Array<{ says: string; outcome: string }>;
  }>;
}

/** A package archive of its own, in the machine: it has no way out. */
function addPackages(machine: Machine): void {
  const work = join(machine.root, '../package');
  mkdirSync(join(work, 'DEBIAN'), { recursive: true });
  mkdirSync(join(work, 'usr/bin'), { recursive: true });
  writeFileSync(
    join(work, 'DEBIAN/control'),
    'Package: fleet-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: says hello\n',
  );
  writeFileSync(join(work, 'usr/bin/fleet-hello'), '#!/bin/sh\necho hello\n', { mode: 0o755 });
  const archive = join(machine.root, 'opt/archive');
  mkdirSync(archive, { recursive: true });
  execFileSync('dpkg-deb', ['--root-owner-group', '-b', work, join(archive, 'fleet-hello.deb')], {
    stdio: 'ignore',
  });
  rmSync(work, { recursive: true });
  const deb = readFileSync(join(archive, 'fleet-hello.deb'));
  const sha256 = createHash('sha256').update(deb).digest('hex');
  writeFileSync(
    join(archive, 'Packages'),
    `Package: fleet-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nFilename: ./fleet-hello.deb\nSize: ${deb.length}\nSHA256: ${sha256}\nDescription: says hello\n`,
  );
  writeFileSync(join(machine.root, 'etc/apt/sources.list'), 'deb [trusted=yes] file:/opt/archive ./\n');
}

/** Every path that a package manager, a login or the journal does not change by itself, with what it is. */
function treeOf(machine: Machine): Map<string, string> {
  const { stdout } = machine.run([
    'sh',
    '-c',
    `find /etc /usr /opt /srv /root /home /var/lib -xdev ! -path '/var/lib/systemd/*' ! -path '/var/lib/apt/*' ! -type d -printf '%p\\t%m %U:%G %s %l %T@\\n'; find /etc /usr/local /srv /root /home -xdev -type d -printf '%p\\t%m %U:%G\\n'`,
  ]);
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
}

function differences(one: Map<string, string>, other: Map<string, string>): string[] {
  const paths = new Set([...one.keys(), ...other.keys()]);
  return [...paths].filter((path) => one.get(path) !== other.get(path)).sort();
}

function whoAndWhat(machine: Machine) {
  const lines = (...argv: string[]) => machine.run(argv).stdout.trim().split('\n');
  return {
    users: lines('cat', '/etc/passwd'),
    shadow: lines('cat', '/etc/shadow'),
    groups: lines('cat', '/etc/group'),
    sudoers: lines('ls', '/etc/sudoers.d'),
    authorized: machine.run(['sh', '-c', 'cat /root/.ssh/* /home/*/.ssh/* 2>/dev/null | sha256sum']).stdout,
  };
}
