/** What keeps a machine from becoming a host: each is said clearly, with what to do next, and leaves nothing half-joined. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { debianBase } from '../../scripts/machines/base.ts';
import { command, tryCommand } from '../../scripts/machines/commands.ts';
import type { Machine } from '../../scripts/machines/machine.ts';
import { inside } from '../../scripts/machines/namespaces.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const PROFILES = `profiles:
  web:
    labels: { environment: production, role: segmenter }
`;
/** Before every other place where programs are looked for on a host. */
const FIRST = '/usr/local/sbin';

const CTRL_C = '\x03';

t.setTimeout(300_000);

t.test('what keeps a machine out', { skip: skipWithoutMachines(), timeout: 280_000 }, async (t) => {
  const fleet = await RealFleet.create({
    hosts: ['web1', 'bare'],
    config: (each) => fleetConfig(each, PROFILES),
  });
  t.teardown(() => fleet.remove());
  await fleet.boot('web1');
  await fleet.startController();
  const web1 = fleet.machine('web1');
  const named = `web1=${fleet.addressOf('web1')}`;
  const key = ['--key', fleet.sshKey];
  const known = ['--known-hosts', fleet.knownHosts];
  const add = (...argv: string[]) => fleet.run('hosts', 'add', '-p', 'web', named, ...argv);

  /** Refused, with all of this said; and nobody has joined or could. */
  async function keepsOut(
    t: Test,
    ran: { code: number | null; stdout: string; stderr: string },
    exit: number,
    ...said: Array<string | RegExp>
  ) {
    t.equal(ran.code, exit, ran.stdout + ran.stderr);
    for (const each of said) t.match(ran.stdout, each, String(each));
    t.match(ran.stdout, /^next: \S/m, 'it says what to do next');
    await nobodyJoined(t);
  }
  async function nobodyJoined(t: Test) {
    const joined = JSON.parse((await fleet.well('hosts', 'joined', '--json')).stdout) as Array<{
      state: string;
    }>;
    t.same(
      joined.filter(({ state }) => state === 'active' || state === 'waiting'),
      [],
      'nobody has joined',
    );
    const tokens = JSON.parse((await fleet.well('token', 'list', '--json')).stdout) as Token[];
    t.same(
      tokens.filter(({ used, uses, revokedAt }) => used < uses && revokedAt === null),
      [],
      'no token is good',
    );
  }
  const untouched = (t: Test) =>
    t.not(web1.run(['test', '-e', '/etc/fleet']).code, 0, 'nothing was put on it');

  await t.test(
    'a host key that nobody knows, or another one than is known',
    { timeout: 120_000 },
    async (t) => {
      const nobody = join(fleet.dir, 'nobody');
      writeFileSync(nobody, '');
      const fingerprint =
        web1.run(['ssh-keygen', '-lf', '/etc/ssh/ssh_host_ed25519_key.pub']).stdout.split(' ')[1] ?? '';
      await keepsOut(
        t,
        await add(...key, '--known-hosts', nobody),
        3,
        fingerprint,
        `--fingerprint web1=${fingerprint}`,
      );
      const other = join(fleet.dir, 'other');
      writeFileSync(
        other,
        `# a line before it\n${fleet.addressOf('web1')} ${readFileSync(`${fleet.sshKey}.pub`, 'utf8')}`,
      );
      const known = fingerprintOf(fleet.sshKey);
      await keepsOut(
        t,
        await add(...key, '--known-hosts', other),
        3,
        fingerprint,
        known,
        `${other}:2`,
        'ssh-keygen -R',
      );
      await keepsOut(
        t,
        await add(...key, '--known-hosts', nobody, '--fingerprint', `web1=${known}`),
        3,
        fingerprint,
      );
      const vouched = await add(
        ...key,
        '--known-hosts',
        nobody,
        '--fingerprint',
        `web1=${fingerprint}`,
        '--dry-run',
      );
      t.equal(vouched.code, 0, vouched.stdout);
      const at = ['hosts', 'add', '-p', 'web', named, ...key, '--known-hosts', nobody, '--dry-run'];
      const asks = 'and type it here: ';
      const yes = await atTerminal(fleet, at, [[asks, 'yes']]);
      t.equal(yes.code, 3);
      t.match(yes.said, 'what was typed is not SHA256:');
      const left = await atTerminal(fleet, at, [[asks, CTRL_C]]);
      t.equal(left.code, 130, left.said);
      const typed = await atTerminal(fleet, at, [[asks, fingerprint]]);
      t.equal(typed.code, 0, typed.said);
      t.match(typed.said, `>> ${nobody}`, 'it says how the key becomes known');
      t.equal(readFileSync(nobody, 'utf8'), '', 'and leaves that to who typed it');
      untouched(t);
    },
  );

  await t.test('whoever logs in cannot become root', { timeout: 120_000 }, async (t) => {
    web1.run(['useradd', '--create-home', '--shell', '/bin/bash', 'deploy']);
    web1.run([
      'sh',
      '-c',
      'mkdir ~deploy/.ssh && cp /root/.ssh/authorized_keys ~deploy/.ssh/ && chown -R deploy: ~deploy/.ssh',
    ]);
    web1.run(['chpasswd'], 'deploy:right\n');
    const deploy = (...argv: string[]) => add(...key, ...known, '--user', 'deploy', ...argv);
    await keepsOut(t, await deploy(), 1, /does not let deploy use sudo|wants the password/);
    web1.run(['sh', '-c', 'echo "deploy ALL=(root) ALL" > /etc/sudoers.d/deploy']);
    await keepsOut(
      t,
      await deploy(),
      1,
      'wants the password of deploy for sudo, and nobody gave it',
      '--ask-sudo',
    );
    const typed = (password: string) =>
      atTerminal(
        fleet,
        ['hosts', 'add', '-p', 'web', named, ...key, ...known, '--user', 'deploy', '--ask-sudo', '--dry-run'],
        [['password for sudo on the hosts: ', password]],
      );
    const wrong = await typed('wrong');
    t.equal(wrong.code, 1);
    t.match(wrong.said, 'did not take the password of deploy for sudo');
    const right = await typed('right');
    t.equal(right.code, 0, right.said);
    t.notMatch(right.said + wrong.said, /password for sudo on the hosts: (right|wrong)/, 'it is not shown');
    await keepsOut(t, await add(...known), 1, 'lets nobody in with what was shown', '--key FILE');
    web1.run(['rm', '/etc/sudoers.d/deploy']);
    untouched(t);
  });

  await t.test('a full disk, a clock that is off, another architecture', { timeout: 120_000 }, async (t) => {
    web1.run(['mount', '-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', '/srv']);
    await keepsOut(t, await add(...key, ...known), 1, 'MB free at /srv, and fleet needs', 'df -h /srv');
    web1.run(['umount', '/srv']);

    // Machines on one kernel have one clock: what this one says that it is comes from a program in front of the real one.
    instead(web1, 'date', `exec /usr/bin/date -d '10 minutes ago' "$@"`);
    await keepsOut(
      t,
      await add(...key, ...known),
      3,
      'the clock of web1 is 10 min behind the controller’s',
      'timedatectl',
    );
    web1.run(['rm', `${FIRST}/date`]);

    instead(web1, 'uname', 'echo armv7l');
    await keepsOut(
      t,
      await add(...key, ...known),
      1,
      'web1 is a armv7l, and fleet runs on x86_64 and aarch64',
    );
    web1.run(['rm', `${FIRST}/uname`]);
    untouched(t);
  });

  await t.test('a controller that the host cannot reach', { timeout: 120_000 }, async (t) => {
    fleet.network.nft(
      fleet.network.of('web1'),
      'add table ip wall',
      'add chain ip wall out { type filter hook output priority 0 ; }',
      'add rule ip wall out tcp dport 7301 drop',
    );
    await keepsOut(
      t,
      await add(...key, ...known),
      4,
      `web1 cannot reach the controller at 10.77.0.1, port 7301: no answer within 5 s`,
      '7300 and 7301',
    );
    fleet.network.nft(fleet.network.of('web1'), 'delete table ip wall');
    const loop = await add(...key, ...known, '--url', 'https://127.0.0.1:7300');
    t.equal(loop.code, 2);
    t.match(loop.stderr, 'no host reaches the controller at https://127.0.0.1:7300');
    untouched(t);
  });

  await t.test('a machine without systemd', { timeout: 120_000 }, async (t) => {
    const machine = await startBare(t, fleet);
    const ran = await fleet.run(
      'hosts',
      'add',
      '-p',
      'web',
      `bare=${fleet.addressOf('bare')}`,
      ...key,
      ...machine.known,
    );
    await keepsOut(t, ran, 1, /bare has no systemd \(process 1 is sshd\)/);
  });

  await t.test(
    'the connection is lost, before the host has joined and behind it; and then it goes on',
    { timeout: 120_000 },
    async (t) => {
      const cut = `all=; pid=$$; while [ "$pid" -gt 1 ]; do
  case $(cat /proc/$pid/comm) in sshd*) all="$all $pid" ;; esac
  pid=$(sed -n 's/^PPid:\\t//p' /proc/$pid/status)
  case $(cat /proc/$pid/cmdline 2>/dev/null) in *listener*|*-D*) break ;; esac
done; kill -9 $all; sleep 1`;
      // Root, by way of the program that the agent's own join is started with.
      instead(
        web1,
        'runuser',
        `case "$*" in *"agent.js join"*) ${cut}; exit 1 ;; esac\nexec /usr/sbin/runuser "$@"`,
      );
      // All of it by sudo, whose password goes before whatever a script reads.
      web1.run(['sh', '-c', 'echo "deploy ALL=(root) ALL" > /etc/sudoers.d/deploy']);
      const bySudo = ['hosts', 'add', '-p', 'web', named, ...key, ...known, '--user', 'deploy', '--ask-sudo'];
      const { code, said } = await atTerminal(fleet, bySudo, [['password for sudo on the hosts: ', 'right']]);
      web1.run(['rm', '/etc/sudoers.d/deploy']);
      const before = { code, stdout: said, stderr: '' };
      t.match(said, /put fleet-agent .* in place/);
      t.equal(
        web1.run(['sh', '-c', 'grep -rl right /etc/fleet /srv/fleet/*/sealed /var/lib/fleet /home/deploy'])
          .stdout,
        '',
      );
      await keepsOut(t, before, 1, /the connection to .* was lost/, 'fleet hosts add -p web web1=');
      t.match(before.stdout, /unreachable=1 +failed=0 +skipped=[1-9]/);

      // Ctrl-C while the host joins.
      instead(
        web1,
        'runuser',
        `case "$*" in *"agent.js join"*) sleep 30 ;; esac\nexec /usr/sbin/runuser "$@"`,
      );
      const whole = ['hosts', 'add', '-p', 'web', named, ...key, ...known];
      const stopped = await atTerminal(fleet, whole, [['join as web1', CTRL_C]], { live: true });
      t.equal(stopped.code, 130, stopped.said);
      t.match(stopped.said, 'web1: it was stopped before it was done');
      await nobodyJoined(t);

      instead(
        web1,
        'runuser',
        `/usr/sbin/runuser "$@"; status=$?\ncase "$*" in *"agent.js join"*) ${cut} ;; esac\nexit $status`,
      );
      await keepsOut(t, await add(...key, ...known), 1, /the connection to .* was lost/);
      t.equal(
        web1.run(['test', '-e', '/var/lib/fleet/trust/joined.json']).code,
        0,
        'the host believes that it has joined',
      );

      web1.run(['rm', `${FIRST}/runuser`]);
      const ran = await add(...key, ...known, '--json');
      t.equal(ran.code, 0, ran.stderr);
      const [{ acts }] = (
        JSON.parse(ran.stdout) as { hosts: [{ acts: Array<{ says: string; outcome: string }> }] }
      ).hosts;
      const changed = acts.filter(({ outcome }) => outcome === 'changed').map(({ says }) => says);
      t.match(changed, [
        'join as web1, with a token made for it, and a new key',
        'enable fleet-agent',
        'enable fleet-segmenter',
        'start fleet-agent',
      ]);
      t.equal(changed.length, 4, 'what was in place was not put there again');
      const tokens = JSON.parse((await fleet.well('token', 'list', '--json')).stdout) as Token[];
      t.same(
        tokens.filter(({ used, uses, revokedAt }) => used < uses && revokedAt === null),
        [],
      );
    },
  );

  await t.test('a host of another name, and a name of another host', { timeout: 120_000 }, async (t) => {
    const other = await fleet.run(
      'hosts',
      'add',
      '-p',
      'web',
      `web9=${fleet.addressOf('web1')}`,
      ...key,
      ...known,
    );
    t.equal(other.code, 1);
    t.match(other.stdout, 'web9 has joined this fleet already, as web1');
    web1.run(['systemctl', 'stop', 'fleet-agent']);
    web1.run(['mv', '/var/lib/fleet/trust', '/root/trust']);
    const taken = await add(...key, ...known);
    t.equal(taken.code, 1);
    t.match(taken.stdout, 'another machine than this one has joined as web1');
    t.match(
      taken.stdout,
      'next: take another name; or, if that one was made anew or is gone for good: fleet hosts remove web1',
    );
  });
});

interface Token {
  used: number;
  uses: number;
  revokedAt: string | null;
}

/** A program of the machine that is found before the real one. */
function instead(machine: Machine, name: string, script: string): void {
  writeFileSync(join(machine.root, FIRST, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function fingerprintOf(key: string): string {
  return command('ssh-keygen', '-lf', `${key}.pub`).split(' ')[1] ?? '';
}

/** A Debian where sshd is the first process. */
async function startBare(t: Test, fleet: RealFleet): Promise<{ known: string[] }> {
  const folder = join(fleet.dir, 'bare');
  const root = join(folder, 'root');
  for (const each of [root, join(folder, 'upper'), join(folder, 'work')])
    mkdirSync(each, { recursive: true });
  command(
    'mount',
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${debianBase()},upperdir=${folder}/upper,workdir=${folder}/work`,
    root,
  );
  t.teardown(() => tryCommand('umount', '--recursive', root));
  command('ssh-keygen', '-q', '-A', '-f', root);
  mkdirSync(join(root, 'root/.ssh'), { recursive: true, mode: 0o700 });
  writeFileSync(join(root, 'root/.ssh/authorized_keys'), readFileSync(`${fleet.sshKey}.pub`));
  const script = `mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && mkdir -p "$1/run/sshd" && exec chroot "$1" /usr/sbin/sshd -D -e`;
  const [program = '', ...argv] = inside(fleet.network.of('bare'), [
    'unshare',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    'sh',
    '-c',
    script,
    'sh',
    root,
  ]);
  const sshd = spawn(program, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  sshd.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  t.teardown(async () => {
    if (sshd.exitCode === null && sshd.kill('SIGKILL'))
      await new Promise((resolve) => sshd.once('exit', resolve));
  });
  await waitUntil('sshd listens', () => said.includes('Server listening'));
  const file = join(folder, 'known_hosts');
  const host = readFileSync(join(root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
  writeFileSync(file, `${fleet.addressOf('bare')} ${host}`);
  return { known: ['--known-hosts', file] };
}

/** As a person at a terminal, who types each answer when it is asked for. */
function atTerminal(
  fleet: RealFleet,
  argv: string[],
  answers: Array<[question: string, answer: string]>,
  { live = false } = {},
): Promise<{ code: number | null; said: string }> {
  const terminal = { TERM: 'xterm', NO_COLOR: live ? '' : '1' };
  const { argv: whole, env, cwd } = fleet.commandWith(terminal, ...argv);
  const line = whole.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-qec', line, '/dev/null'], { cwd, env, stdio: 'pipe' });
  child.stdin.on('error', () => {});
  let said = '';
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        const [next] = answers;
        if (next === undefined || !said.includes(next[0])) return;
        answers.shift();
        child.stdin.write(next[1] === CTRL_C ? CTRL_C : `${next[1]}\n`);
      });
    child.on('close', (code) => resolve({ code, said }));
  });
}
