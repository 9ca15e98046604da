/** Services on a booted host: systemd looks after them, the agent is nobody in particular, and each has a user of its own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_UNIT } from '@fleet/units/places.ts';
import t, { type Test } from 'tap';
import { type Ran, waitUntil } from '../../scripts/local/program.ts';
import { RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';
import {
  asAgent,
  CHECKOUT,
  joinFleet,
  on,
  provide,
  put,
  ROOT,
  showCheckout,
} from '../fixtures/provisioned.ts';

const SECRET = 'a-secret-of-the-web-service';
/** Answers with what it is; prints a line at its start, and what it hears. */
const SERVER = `
const { createServer } = require('node:http');
const { execFileSync } = require('node:child_process');
const { userInfo } = require('node:os');
const { appendFileSync } = require('node:fs');
const { FLEET_VERSION: version, PORT, TOKEN, NOTIFY_SOCKET } = process.env;
const environment = Object.keys(process.env).sort();
appendFileSync('data/starts', version + '\\n');
console.log('web ' + version + ' begins, its token is ' + TOKEN);
createServer((request, response) => {
  if (request.url === '/crash') process.exit(7);
  response.end(JSON.stringify({ version, pid: process.pid, user: userInfo().username, token: TOKEN, environment }));
}).listen(Number(PORT), () => {
  if (NOTIFY_SOCKET) setTimeout(() => execFileSync('systemd-notify', ['--ready']), 700);
});
process.on('SIGTERM', () => { console.log('web ' + version + ' hears SIGTERM'); process.exit(0); });
`;
const SH = (line: string) => ['/bin/sh', '-c', line];
const NODE = `${ROOT}/fleet-node/current/bin/node`;
const ENVIRONMENT = { PORT: '${PORT}', TOKEN: '${TOKEN}', PATH: '/usr/bin:/bin' };
const COMMON = {
  variables: { PORT: {}, TOKEN: { secret: true } },
  shared: ['data'],
  smoke: [{ name: 'answers', kind: 'http', port: '${PORT}', contains: '${VERSION}' }],
};
const tells = SH(
  'echo "$0 as $(id -un) in $(id -Gn) with $TOKEN" >&2; echo "$0 $FLEET_VERSION" >> data/journal',
);
const SERVICES: Record<string, object> = {
  web: {
    ...COMMON,
    run: {
      supervisor: 'systemd',
      command: [NODE, 'server.js'],
      environment: ENVIRONMENT,
      stop: { grace: '5s' },
    },
    hooks: {
      before_start: { command: [...tells, 'before_start'] },
      after_start: { command: [...tells, 'after_start'] },
    },
    once: [{ name: 'migrate', command: [...tells, 'migrate'] }],
    smoke: [
      ...COMMON.smoke,
      { name: 'noted', kind: 'command', command: SH('grep -q "$FLEET_VERSION" data/starts') },
    ],
  },
  told: {
    ...COMMON,
    run: { supervisor: 'systemd', command: [NODE, 'server.js'], notify: true, environment: ENVIRONMENT },
  },
  team: { ...COMMON, run: { supervisor: 'systemd', unit: 'team.service', environment: ENVIRONMENT } },
  plain: {
    ...COMMON,
    hooks: { before_start: { command: SH('test ! -e data/slow || exec sleep 1000') } },
    run: { supervisor: 'process', command: [NODE, 'server.js'], environment: ENVIRONMENT },
  },
  lone: { ...COMMON, run: { supervisor: 'systemd', command: [NODE, 'server.js'], environment: ENVIRONMENT } },
};
const PORTS: Record<string, number> = { web: 8080, told: 8081, team: 8082, plain: 8083, lone: 8084 };
const TEAM = `[Service]
User=team
WorkingDirectory=${ROOT}/team/current
Environment=PORT=8082 TOKEN=of-the-team
ExecStart=/bin/sh -c 'FLEET_VERSION=$$(cat version) exec ${NODE} server.js'
Restart=always
RestartSec=100ms
`;

function repository(dir: string, service: string): void {
  mkdirSync(dir);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: dir,
      stdio: 'ignore',
    });
  git('init', '--initial-branch', 'main');
  writeFileSync(join(dir, 'fleet.yaml'), JSON.stringify({ service, ...SERVICES[service] }));
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
    writeFileSync(join(dir, 'version'), version);
    mkdirSync(join(dir, 'data'), { recursive: true });
    writeFileSync(join(dir, 'data/starts'), 'none\n');
    writeFileSync(
      join(dir, 'server.js'),
      version === '1.2.0' ? 'console.log("no such thing"); process.exit(9)' : SERVER,
    );
    git('add', '--all');
    git('commit', '-m', version);
    git('tag', `v${version}`);
  }
}

const placed = (service: string) => ({
  hosts: { role: 'app' },
  strategy: { settle: '0s', batch: ['100%'], patience: '30s' },
  values: { PORT: String(PORTS[service]), TOKEN: { secret: 'token' } },
});
const each = (of: (service: string) => unknown) =>
  JSON.stringify(Object.fromEntries(Object.keys(SERVICES).map((service) => [service, of(service)])));
/** JSON is YAML. */
const CONFIG = `secrets: { token: { file: ./token } }
services: ${each((service) => ({ source: { git: `./${service}`, ref: 'main' } }))}
environments: { production: { services: ${each(placed)} } }
`;

async function scene(t: Test) {
  const fleet = await RealFleet.create({ hosts: ['h1'], inHaproxy: [], config: () => CONFIG });
  t.teardown(async () => {
    const journal = ['journalctl', '--no-pager', '-o', 'short-precise', '-n', '300'];
    if (!t.passing()) t.comment(fleet.machines.get('h1')?.run(journal).stdout);
    await fleet.remove();
  });
  for (const service of Object.keys(SERVICES)) repository(join(fleet.dir, service), service);
  writeFileSync(join(fleet.dir, 'token'), SECRET, { mode: 0o600 });
  await fleet.boot('h1');
  const h1 = fleet.machine('h1');
  await h1.cutPower();
  showCheckout(h1);
  await h1.boot();
  provide(h1, {
    users: ['web', 'told', 'team', 'plain'],
    services: ['web', 'told'],
    units: { 'team.service': TEAM },
    runAs: { web: 'web', told: 'told', team: 'team', plain: 'plain', lone: 'lone', own: 'self' },
  });
  await t.test('the contract of supervisors', async (t) => {
    const { code, stdout } = h1.run(['env', '-C', CHECKOUT, NODE, 'agent/supervisors/systemd.fixture.ts']);
    t.equal(code, 0) || t.comment(stdout);
    on(h1, ['rm', '-r', `${ROOT}/sample`]);
  });
  await fleet.startController();
  const token = await fleet.well('token', 'create', '--host', 'h1', '--role', 'app', '--json');
  joinFleet(h1, (JSON.parse(token.stdout) as { joinString: string }).joinString);
  const connected = async () => /h1 +connected/.test((await fleet.run('hosts')).stdout);
  await waitUntil('the agent is connected', connected);

  /** What a service answers, asked on its own host. */
  const ask = (service: string, path = '/'): Answer | undefined => {
    const fetching = `fetch('http://127.0.0.1:${PORTS[service]}${path}').then((r) => r.text()).then(console.log)`;
    const { code, stdout } = h1.run([NODE, '-e', fetching]);
    return code === 0 ? (JSON.parse(stdout) as Answer) : undefined;
  };
  const deploy = (service: string, version: string) => fleet.run('deploy', service, '--ref', `v${version}`);
  const unit = (name: string, property: string) =>
    h1.run(['systemctl', 'show', '--value', `--property=${property}`, name]).stdout.trim();
  const status = async (service: string) => (await fleet.run('status', service)).stdout;
  return { fleet, h1, ask, deploy, unit, status, connected };
}

interface Answer {
  version: string;
  pid: number;
  user: string;
  token: string;
  environment: string[];
}

function well(t: Test, { code, stdout, stderr }: Ran): void {
  t.equal(code, 0) || t.comment(stdout + stderr);
}

t.test('services on a host in earnest', { skip: skipWithoutMachines(), timeout: 480_000 }, async (t) => {
  const { fleet, h1, ask, deploy, unit, status, connected } = await scene(t);

  await t.test('a service of systemd has its user, its values and its hooks', async (t) => {
    well(t, await deploy('web', '1.0.0'));
    const answer = ask('web')!;
    t.match(answer, { version: '1.0.0', user: 'web', token: SECRET });
    const names = [
      'FLEET_HOST',
      'FLEET_SERVICE',
      'FLEET_VERSION',
      'HOME',
      'LANG',
      'LOGNAME',
      'PATH',
      'PORT',
      'TOKEN',
      'USER',
    ];
    t.strictSame(answer.environment, names, 'nothing of systemd’s or the launcher’s own');
    t.equal(unit('fleet-web.service', 'MainPID'), String(answer.pid));
    t.match(on(h1, ['cat', `/proc/${answer.pid}/cgroup`]), /fleet-web\.service/, 'apart from the agent');
    const journal = on(h1, ['cat', `${ROOT}/web/shared/data/journal`]);
    t.equal(journal, 'migrate 1.0.0\nbefore_start 1.0.0\nafter_start 1.0.0\n');
    const listed = (await fleet.well('logs', '--deployment', '1')).stdout;
    const steps = [...listed.matchAll(/^ *(\d+) .* (once|restart) +changed/gm)].map(([, number]) => number!);
    const said = await Promise.all(
      steps.map((step) => fleet.well('logs', '--deployment', '1', '--step', step)),
    );
    const printed = said.map(({ stdout }) => stdout).join('');
    for (const hook of ['migrate', 'before_start', 'after_start'])
      t.match(printed, `${hook} as web in web with [secret TOKEN]`, 'in the service’s group alone');
    t.notMatch(printed, SECRET);
    t.equal(on(h1, ['stat', '-c', '%U:%G %a', `${ROOT}/web/run/launch`]), 'fleet:web 640\n');
    t.equal(on(h1, ['stat', '-c', '%U:%G %a', `${ROOT}/web/shared/data`]), 'fleet:web 2775\n');
    const starts = `${ROOT}/web/shared/data/starts`;
    t.equal(on(h1, ['stat', '-c', '%U:%G %a', starts]), 'fleet:web 664\n', 'it came with the release');
    t.equal(on(h1, ['cat', starts]), 'none\n1.0.0\n', 'and is the service’s own to change');
    t.equal(on(h1, ['sh', '-c', 'grep -lF -f - /proc/[0-9]*/cmdline || true'], SECRET), '');
    t.not(
      h1.run([
        'setpriv',
        '--reuid',
        'team',
        '--regid',
        'team',
        '--init-groups',
        'cat',
        `${ROOT}/web/run/launch`,
      ]).code,
      0,
    );
  });

  await t.test('what it prints is in fleet logs, without its secrets', async (t) => {
    const { stdout } = await fleet.well('logs', 'web', '--host', 'h1');
    t.match(stdout, 'web 1.0.0 begins, its token is [secret TOKEN]');
    t.match(stdout, 'Started fleet-web.service', 'and what systemd says of it');
    const first = JSON.parse((await fleet.well('logs', 'web', '--host', 'h1', '-n', '1', '--json')).stdout);
    t.match(first, { text: /\n$/, cursor: /^s=/ });
  });

  await t.test('one that says READY itself is started when it has said so', async (t) => {
    well(t, await deploy('told', '1.0.0'));
    t.match(ask('told'), { version: '1.0.0', user: 'told', environment: /NOTIFY_SOCKET/ });
    const [began, ready] = ['ExecMainStartTimestampMonotonic', 'ActiveEnterTimestampMonotonic'].map((name) =>
      Number(unit('fleet-told.service', name)),
    );
    t.ok(ready! - began! >= 700_000, `${(ready! - began!) / 1000} ms after it began`);
  });

  await t.test(
    'what crashes is started again by systemd, and an agent that goes takes nothing along',
    async (t) => {
      const before = ask('web')!;
      ask('web', '/crash');
      await waitUntil('it answers again', () => (ask('web')?.pid ?? before.pid) !== before.pid);
      t.match(await status('web'), /h1 +1\.0\.0 +(recovering|running)/);
      const { pid } = ask('web')!;
      on(h1, ['systemctl', 'restart', AGENT_UNIT]);
      await waitUntil('the agent is back', connected);
      t.equal(ask('web')!.pid, pid);
      on(h1, ['systemctl', 'restart', 'fleet-web.service']);
      await waitUntil('it answers again', () => ask('web') !== undefined);
      t.match(ask('web'), { version: '1.0.0' }, 'restarted by hand, it is what was started');
      await waitUntil('it runs', async () => /h1 +1\.0\.0 +running/.test(await status('web')));
    },
  );

  await t.test('a version that does not start says why, and the host goes back', async (t) => {
    well(t, await deploy('web', '1.1.0'));
    const { code, stdout, stderr } = await deploy('web', '1.2.0');
    t.equal(code, 5);
    t.match(stdout + stderr, /web 1\.2\.0 did not start: it ended with exit status 9/);
    t.match(stdout + stderr, 'no such thing');
    t.match(ask('web'), { version: '1.1.0' });
  });

  await t.test('a unit of the team’s own', async (t) => {
    for (const version of ['1.0.0', '1.1.0']) {
      well(t, await deploy('team', version));
      t.match(ask('team'), { version, user: 'team', token: 'of-the-team' });
    }
    t.match((await fleet.well('logs', 'team', '--host', 'h1')).stdout, 'team');
  });

  await t.test('a service that the agent itself starts runs as its user too, and is ended', async (t) => {
    for (const version of ['1.0.0', '1.1.0']) well(t, await deploy('plain', version));
    const { pid, ...answer } = ask('plain')!;
    t.match(answer, { version: '1.1.0', user: 'plain', token: SECRET });
    const printed = (await fleet.well('logs', 'plain', '--host', 'h1')).stdout;
    t.match(printed, /web 1\.0\.0 hears SIGTERM\n.*web 1\.1\.0 begins, its token is \[secret TOKEN\]/s);
    t.notMatch(answer.environment.join(), /SUDO|TERM|MAIL/, 'nothing of sudo’s own');
    t.match(on(h1, ['cat', `/proc/${pid}/status`]), /^NoNewPrivs:\s+1$/m);
    on(h1, ['kill', '-KILL', String(pid)]);
    await waitUntil('it answers again', () => (ask('plain')?.pid ?? pid) !== pid);
    const shim = `${ROOT}/plain/run/state.json`;
    on(h1, [
      'kill',
      '-KILL',
      String((JSON.parse(on(h1, ['cat', shim])) as { shim: { pid: number } }).shim.pid),
    ]);
    on(h1, ['systemctl', 'restart', AGENT_UNIT]);
    await waitUntil('the agent is back', connected);
    await waitUntil('it runs again', async () => /h1 +1\.1\.0 +running/.test(await status('plain')));
    t.equal(on(h1, ['pgrep', '-c', '-u', 'plain', '-f', 'server.js']), '1\n', 'once');
  });

  await t.test('a hook of an agent that died is ended, whoever it belongs to', async (t) => {
    on(h1, ['touch', `${ROOT}/plain/shared/data/slow`]);
    const deploying = deploy('plain', '1.0.0');
    const sleeps = () => h1.run(['pgrep', '-u', 'plain', 'sleep']).code === 0;
    await waitUntil('the hook is at work', sleeps);
    on(h1, ['systemctl', 'kill', '--kill-whom=main', '--signal=SIGKILL', AGENT_UNIT]);
    await waitUntil('it is ended', () => !sleeps());
    await waitUntil('it waits for a person', async () => /WAITING|waiting/.test(await status('plain')));
    const [, id] = /deployment (\d+)/i.exec(await status('plain')) ?? [];
    on(h1, ['rm', `${ROOT}/plain/shared/data/slow`]);
    well(t, await fleet.run('retry', id ?? '', '-m', 'nothing was done yet'));
    well(t, await deploying);
    t.match(ask('plain'), { version: '1.0.0' });
    well(t, await deploy('plain', '1.1.0'));
  });

  await t.test('what a host lacks is said before anything is touched', async (t) => {
    const refusal = async () => {
      const { code, stdout, stderr } = await deploy('lone', '1.0.0');
      t.equal(code, 5, 'all is as it was');
      return stdout + stderr;
    };
    t.match(await refusal(), /h1 has no user lone/);
    on(h1, ['useradd', '--system', '--user-group', 'lone']);
    t.match(await refusal(), /h1 cannot run lone as lone: .* no rule of sudo for that[\s\S]*fleet hosts add/);
    put(h1, '/etc/sudoers.d/lone', 'fleet ALL=(lone) NOPASSWD:SETENV: ALL\n', 0o440);
    t.match(await refusal(), /h1 has no unit fleet-lone\.service[\s\S]*fleet hosts add/);
    put(h1, '/etc/systemd/system/fleet-lone.service', '[Service]\nUser=web\nExecStart=/bin/true\n');
    on(h1, ['systemctl', 'daemon-reload']);
    t.match(await refusal(), /runs fleet-lone\.service as web, and its agent\.yaml says lone/);
    put(h1, '/etc/systemd/system/fleet-lone.service', '[Service]\nUser=lone\nExecStart=/bin/true\n');
    on(h1, ['systemctl', 'daemon-reload']);
    t.match(await refusal(), /no rule in \/etc\/sudoers\.d\/fleet by which its agent may restart fleet-lone/);
    t.equal(h1.run(['test', '-e', `${ROOT}/lone/current`]).code, 1);
  });

  await t.test('what the agent’s user cannot do', async (t) => {
    const can = (...argv: string[]) => h1.run([...asAgent, ...argv]).code === 0;
    t.ok(can('sudo', '-n', '/usr/bin/systemctl', 'restart', 'fleet-told.service'), 'what it may');
    const listed = on(h1, [...asAgent, 'sudo', '-n', '-l'])
      .split('\n')
      .filter((line) => line.startsWith('    ('));
    t.strictSame(
      listed.map((line) => line.trim()).sort(),
      [
        ...['fleet-web', 'fleet-told', 'team'].flatMap((name) =>
          ['start', 'stop', 'restart'].map(
            (verb) => `(root) NOPASSWD: /usr/bin/systemctl ${verb} ${name}.service`,
          ),
        ),
        ...['lone', 'plain', 'team', 'told', 'web'].map((user) => `(${user}) SETENV: NOPASSWD: ALL`),
      ].sort(),
    );
    for (const argv of [
      ['sudo', '-n', 'id'],
      ['sudo', '-n', '-u', 'root', '/bin/sh', '-c', 'id'],
      ['sudo', '-n', '-u', 'nobody', 'id'],
      ['sudo', '-n', '/usr/bin/systemctl', 'restart', 'ssh.service'],
      ['sudo', '-n', '/usr/bin/systemctl', 'restart', AGENT_UNIT],
      ['sudo', '-n', '/usr/bin/systemctl', 'restart', 'fleet-web.service', 'ssh.service'],
      ['sudo', '-n', '/usr/bin/systemctl', 'stop', '--root=/', 'fleet-web.service'],
      ['sudo', '-n', '/usr/bin/systemctl', 'edit', 'fleet-web.service'],
      ['sudo', '-n', '/usr/bin/systemctl', 'daemon-reload'],
      ['sudo', '-n', '-E', '/usr/bin/systemctl', 'restart', 'fleet-web.service'],
      ['sudo', '-n', '-u', 'web', '-g', 'root', 'id'],
      ['sudo', '-n', '-u', 'web', 'sudo', '-n', 'id'],
      ['systemctl', '--no-ask-password', 'restart', 'fleet-web.service'],
      ['systemd-run', '--no-ask-password', 'id'],
      ...[
        '/etc/fleet/agent.yaml',
        '/etc/systemd/system/fleet-web.service',
        '/etc/sudoers.d/fleet',
        '/usr/local/lib/fleet/launch',
      ].map((path) => ['sh', '-c', `echo >> ${path}`]),
      ['sh', '-c', 'touch /etc/systemd/system/x.service'],
      ['cat', '/etc/shadow'],
    ])
      t.notOk(can(...argv), argv.join(' '));
  });

  await t.test('after a reboot and a power cut it is there by itself', async (t) => {
    await h1.reboot();
    await waitUntil('the agent is back', connected);
    for (const service of ['web', 'told', 'team', 'plain'])
      await waitUntil(`${service} runs`, async () => /h1 +1\.[01]\.0 +running/.test(await status(service)));
    for (const [service, version] of [
      ['web', '1.1.0'],
      ['told', '1.0.0'],
      ['team', '1.1.0'],
      ['plain', '1.1.0'],
    ] as const)
      t.match(ask(service), { version, user: service });

    on(h1, ['systemctl', 'disable', '--now', '-q', AGENT_UNIT]);
    await h1.cutPower();
    await h1.boot();
    await waitUntil('web answers', () => ask('web') !== undefined);
    t.match(ask('web'), { version: '1.1.0', token: SECRET }, 'without an agent');
    on(h1, ['systemctl', 'enable', '--now', '-q', AGENT_UNIT]);
    await waitUntil('the agent is back', connected);
    t.match(await status('web'), /h1 +1\.1\.0 +running/);
  });

  await t.test('what is stopped for good stays so', async (t) => {
    on(h1, ['systemctl', 'stop', AGENT_UNIT]);
    const argv = [
      NODE,
      `${ROOT}/fleet-agent/current/agent.js`,
      '--config',
      '/etc/fleet/agent.yaml',
      '--end-services',
    ];
    const ended = h1.run([...asAgent, ...argv]);
    t.equal(ended.code, 0, ended.stderr);
    for (const service of ['web', 'told', 'team', 'plain']) t.equal(ask(service), undefined, service);
    t.equal(h1.run(['systemctl', 'start', 'fleet-web.service']).code, 0);
    t.equal(ask('web'), undefined, 'also where somebody starts its unit');
    for (const user of ['web', 'told', 'team', 'plain']) t.not(h1.run(['pgrep', '-u', user]).code, 0, user);
  });
});
