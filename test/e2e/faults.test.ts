/**
 * Bad input and faults, each as a person meets it: the command's exit status, what it says, what to do next, and that nothing
 * was changed or lost. Every part is a real process.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { skipWithoutHaproxy, startHaproxy } from '@fleet/balancers/haproxy.fixture.ts';
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { FLEET, type Ran, startProgram, waitUntil } from '../../scripts/local/program.ts';
import { Gate } from '../fixtures/gate.ts';
import { type Mood, PliableRepository } from '../fixtures/pliable.ts';
import { commandLines } from '../fixtures/processes.ts';

t.setTimeout(600_000);

interface Scene {
  fleet: LocalFleet;
  repository: PliableRepository;
  dir: string;
  ports: Record<string, number>;
  front: number;
  run(...argv: string[]): Promise<Ran>;
  /** What a host answers, or null. */
  answers(host: string): Promise<string | null>;
  /** Each host answers with this version, and nobody is hidden. */
  unharmed(t: Test, version: string): Promise<void>;
}

interface Stage {
  hosts?: string[];
  versions?: Mood[];
  strategy?: string;
  balancer?: string;
  balancers?: string;
  service?: string;
  rootOf?: (dir: string, host: string) => void;
}

/** A fleet with hosts `a` and `b` (or others), on which 1.0.0 runs. */
async function scene(t: Test, stage: Stage = {}): Promise<Scene> {
  const hosts = stage.hosts ?? ['a', 'b'];
  const dir = mkdtempSync(join(tmpdir(), 'fleet-faults-'));
  const [front = 0, ...free] = await freePorts(1 + hosts.length);
  const ports = Object.fromEntries(hosts.map((host, index) => [host, free[index]!]));
  const repository = new PliableRepository(join(dir, 'pliable'));
  for (const version of [{ version: '1.0.0' }, ...(stage.versions ?? [{ version: '1.1.0' }])])
    repository.release(version);
  const fleet = await LocalFleet.create({
    dir,
    hosts: hosts.map((host) => ({ host, labels: { role: 'web', port: ports[host]! } })),
    config: `data: ./data
services:
  pliable: { source: { git: ./pliable, ref: main } }
balancers:
  ${stage.balancers ?? `front: { kind: embedded, listen: "127.0.0.1:${front}" }`}
environments:
  production:
    services:
      pliable:
        hosts: { role: web }
        ${stage.balancer ?? 'balancer: { name: front, backend: pliable, address: "127.0.0.1:{label.port}" }'}
        strategy: { settle: 0s, drain: 1s, unhide: 5s, patience: 2s${stage.strategy ? `, ${stage.strategy}` : ''} }
        values: { PORT: { label: port } }
`,
  });
  for (const host of hosts) stage.rootOf?.(dir, host);
  t.teardown(async () => {
    await fleet.stop();
    for (const host of hosts) if (stage.rootOf) execFileSync('umount', ['--lazy', fleet.rootOf(host)]);
    fleet.remove();
  });
  await fleet.start();
  const answers = (host: string) =>
    fetch(`http://127.0.0.1:${ports[host]}/`).then(
      async (response) => ((await response.json()) as { version: string }).version,
      () => null,
    );
  return {
    fleet,
    repository,
    dir,
    ports,
    front,
    run: (...argv) => fleet.run(argv),
    answers,
    unharmed: async (t, version) => {
      for (const host of hosts) t.equal(await answers(host), version, `${host} answers with ${version}`);
      const { stdout } = await fleet.run(['status', '--json']);
      const status = JSON.parse(stdout) as {
        services: Array<{ running: unknown; hosts: Array<{ balancer: string | null; note: string | null }> }>;
      };
      const [service] = status.services;
      t.equal(service?.running, null, 'nothing holds the lock');
      t.strictSame(
        service?.hosts.map((host) => host.note),
        hosts.map(() => null),
        'fleet has hidden nobody',
      );
    },
  };
}

/** Ends with this status, and says each of these. */
function said(t: Test, ran: Ran, status: number, ...texts: Array<string | RegExp>): void {
  const all = ran.stdout + ran.stderr;
  t.equal(ran.code, status, `exit status ${status}`) || t.comment(all);
  for (const text of texts) t.match(all, text) || t.comment(all);
}

async function stepsOf({ fleet }: Scene, deployment: number): Promise<StepRow[]> {
  const response = await fetch(`${fleet.url}/api/deployments/${deployment}`).catch(() => null);
  return response?.ok ? ((await response.json()) as { steps: StepRow[] }).steps : [];
}

const at = (on: Scene, deployment: number, kind: string, host?: string) =>
  waitUntil(`deployment ${deployment} is at ${kind}`, async () =>
    (await stepsOf(on, deployment)).some(
      (step) => step.kind === kind && step.state !== 'pending' && (host ?? step.host) === step.host,
    ),
  );

t.test('what does not exist', async (t) => {
  const on = await scene(t);
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0, 'RECAP pliable 1.0.0 production');
  said(t, await on.run('deploy', 'plible'), 2, 'no service plible', 'did you mean', /pliable/);
  said(t, await on.run('deploy', 'pliable', '-e', 'prodution'), 2, 'no environment prodution', /production/);
  said(
    t,
    await on.run('deploy', 'pliable', '--version', '9.9.9'),
    2,
    '9.9.9 has not been built',
    'fleet releases pliable',
  );
  said(t, await on.run('deploy', 'pliable', '--ref', 'v9'), 2, /v9/);
  said(t, await on.run('deploy', 'pliable', '--ref=--upload-pack=x'), 2, /ref/);
  said(t, await on.run('deploy', 'pliable', '--version', '1.0.0', '--host', 'nobody'), 2, 'nobody', 'a, b');
  said(t, await on.run('rollback', 'pliable', '-y'), 2, 'no earlier version');
  said(t, await on.run('rollback', 'pliable', '--to', '0.9.0', '-y'), 2, '0.9.0 has not been built');
  said(t, await on.run('attach', '99'), 2, 'no deployment 99');
  said(t, await on.run('recap', '99'), 2, 'no deployment 99');
  said(t, await on.run('deploy', 'pliable', '--version', '1.0.0'), 0, 'nothing to do', 'RECAP');
  await on.unharmed(t, '1.0.0');

  t.test('no controller there', async (t) => {
    const [port] = await freePorts(1);
    said(
      t,
      await on.fleet.run(['status'], { env: { FLEET_CONTROLLER: `http://127.0.0.1:${port}` } }),
      4,
      'fleet controller',
    );
  });
});

t.test('a controller that cannot start', async (t) => {
  const on = await scene(t, { hosts: ['a'], strategy: 'min_visible: 0' });
  const start = async (config: string): Promise<Ran> => {
    const dir = mkdtempSync(join(on.dir, 'other-'));
    writeFileSync(join(dir, 'controller.yaml'), config);
    return on.fleet.run(['controller', '--config', join(dir, 'controller.yaml')]);
  };
  said(
    t,
    await start('services: {}\nenvironments: {}\nservcies: {}\n'),
    2,
    'controller.yaml:3:1',
    'services',
  );
  said(t, await start('services: [\n'), 2, 'controller.yaml');
  said(t, await start('listen: 7300\nservices: {}\nenvironments: {}\n'), 2, 'controller.yaml:1');
  said(
    t,
    await start('listen: 0.0.0.0:7300\ndevelopment: true\nservices: {}\nenvironments: {}\n'),
    2,
    'refusing to listen on 0.0.0.0:7300',
    '127.0.0.1',
  );
  const { port } = new URL(on.fleet.url);
  said(
    t,
    await start(`listen: 127.0.0.1:${port}\ndevelopment: true\nservices: {}\nenvironments: {}\n`),
    2,
    'another program listens',
  );
  said(
    t,
    await start(
      `listen: 127.0.0.1:1\ndevelopment: true\ndata: ${on.dir}/data\nservices: {}\nenvironments: {}\n`,
    ),
    2,
    'another controller uses',
  );
});

t.test('what does not build', async (t) => {
  const on = await scene(t, {
    versions: [
      { version: '1.1.0', build: 'command: [node, -e, "console.error(1 + 1); process.exit(7)"]' },
      { version: '1.2.0', test: 'test: { command: [node, -e, "console.error(6 * 7); process.exit(3)"] }' },
      { version: '1.3.0' },
    ],
  });
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
  said(
    t,
    await on.run('deploy', 'pliable', '--ref', 'v1.1.0'),
    1,
    'the build command failed',
    'exit status 7',
    /^ +\| 2$/m,
  );
  said(
    t,
    await on.run('build', 'pliable', '--ref', 'v1.2.0'),
    1,
    'the package test failed',
    'exit status 3',
    /42/,
  );
  said(
    t,
    await on.run('build', 'pliable', '--ref', 'v1.3.0', '--version', '1.0.0'),
    2,
    '1.0.0',
    /other content/,
  );
  said(t, await on.run('build', 'pliable', '--ref', 'v1.0.0'), 0, /1\.0\.0/);
  await on.unharmed(t, '1.0.0');
});

t.test('a host that is away', async (t) => {
  const on = await scene(t);
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
  await on.run('build', 'pliable');

  await on.fleet.agents.get('b')!.stop('SIGKILL');
  const offline = await on.run('deploy', 'pliable', '--version', '1.1.0');
  said(t, offline, 1, 'RECAP pliable 1.1.0', /^b +: ok=0 .*unreachable=1/m, /^a +: ok=0 .*running=1\.0\.0$/m);
  t.equal(await on.answers('a'), '1.0.0', 'the host that is there was not touched');
  await on.fleet.startAgent('b');
  await on.unharmed(t, '1.0.0');

  t.test('lost in the middle', async (t) => {
    const deploying = on.run('deploy', 'pliable', '--version', '1.1.0');
    await at(on, 3, 'restart', 'b');
    await on.fleet.agents.get('b')!.stop('SIGKILL');
    const lost = await deploying;
    said(
      t,
      lost,
      1,
      'RECAP pliable 1.1.0',
      /^a +: .*running=1\.1\.0$/m,
      /^b +: .*unreachable=[1-9].*running=-$/m,
    );
    await on.fleet.startAgent('b');
    said(t, await on.run('deploy', 'pliable', '--version', '1.1.0'), 0, /^b +: .*running=1\.1\.0$/m);
    await on.unharmed(t, '1.1.0');
  });
});

t.test(
  'a disk that is full',
  {
    skip:
      process.getuid?.() === 0 || process.env.CI === 'true'
        ? false
        : 'needs root, to mount a small file system',
  },
  async (t) => {
    const on = await scene(t, {
      versions: [{ version: '1.1.0', ballast: 30_000_000 }],
      rootOf: (dir, host) => {
        const root = join(dir, 'hosts', host);
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${host === 'b' ? 50 : 400}m`, 'tmpfs', root]);
        t.comment(`${host} has its own file system`);
      },
    });
    said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
    said(t, await on.run('deploy', 'pliable'), 5, /b +FAILED|stage +b/, /disk|room/, /^a +: ok=0/m);
    await on.unharmed(t, '1.0.0');
  },
);

t.test('versions that are not well', async (t) => {
  const on = await scene(t, {
    versions: [
      { version: '1.1.0', mood: 'sick' },
      { version: '1.2.0', mood: 'hangs' },
      { version: '1.3.0', mood: 'sickens' },
      { version: '1.4.0', hooks: 'before_start: { command: [sleep, "1000"], timeout: 500ms }' },
      {
        version: '1.5.0',
        once: '{ name: migrate, command: [node, -e, "console.error(6 * 7); process.exit(9)"] }',
      },
      { version: '1.6.0', hooks: 'before_start: { command: [sh, -c, "setsid sleep 987654 & exit 0"] }' },
    ],
  });
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
  const rescued = /^a +: .*failed=1 .*rescued=1 .*running=1\.0\.0$/m;
  const skipped = /^b +: ok=0 .*skipped=[1-9].*running=1\.0\.0$/m;
  said(
    t,
    await on.run('deploy', 'pliable', '--ref', 'v1.1.0'),
    5,
    'answered 500',
    rescued,
    skipped,
    'fleet logs pliable --host a',
  );
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.2.0'), 5, 'answers did not pass', rescued, skipped);
  said(
    t,
    await on.run('deploy', 'pliable', '--ref', 'v1.3.0', '--soak', '10s'),
    5,
    /settle +a +FAILED/,
    rescued,
    skipped,
  );
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.4.0'), 5, 'before_start', rescued, skipped);
  said(
    t,
    await on.run('deploy', 'pliable', '--ref', 'v1.5.0'),
    5,
    'migrate',
    'exit status 9',
    /42/,
    /^a +: .*failed=1 .*rescued=0/m,
  );
  await on.unharmed(t, '1.0.0');
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.6.0'), 0);
  t.notOk(commandLines().includes('sleep 987654'), 'the child that the hook left behind is gone');
});

t.test('one deployment at a time, and its terminal only watches', async (t) => {
  const gate = new Gate(t);
  const on = await scene(t, {
    versions: [
      { version: '1.1.0', hooks: 'before_start: { command: [sleep, "2"] }' },
      { version: '1.2.0' },
      { version: '1.3.0', hooks: `before_start: ${gate.hook}` },
    ],
  });
  said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);

  t.test('a second one', async (t) => {
    const first = on.run('deploy', 'pliable', '--ref', 'v1.1.0');
    await at(on, 2, 'restart');
    said(
      t,
      await on.run('deploy', 'pliable', '--ref', 'v1.2.0'),
      3,
      'deployment 2',
      'fleet attach 2',
      'fleet abort 2',
    );
    said(t, await first, 0, 'RECAP pliable 1.1.0');
  });

  t.test('abort', async (t) => {
    gate.close();
    const deploying = on.run('deploy', 'pliable', '--ref', 'v1.3.0');
    await at(on, 3, 'restart', 'a');
    said(t, await on.run('abort', '3', '-m', 'changed our mind'), 0);
    gate.open();
    const aborted = await deploying;
    said(
      t,
      aborted,
      1,
      'changed our mind',
      /^a +: .*running=1\.3\.0$/m,
      /^b +: ok=0 .*skipped=[1-9].*running=1\.1\.0$/m,
    );
    said(t, await on.run('deploy', 'pliable', '--version', '1.1.0'), 0);
  });

  t.test('a closed terminal', async (t) => {
    for (const [signal, id] of [
      ['SIGINT', 5],
      ['SIGHUP', 6],
    ] as const) {
      const argv = ['deploy', 'pliable', '--version', id === 5 ? '1.0.0' : '1.1.0'];
      const cli = startProgram([process.execPath, FLEET, ...argv], {
        cwd: on.dir,
        log: join(on.dir, `cli-${id}.log`),
        env: { FLEET_CONTROLLER: on.fleet.url },
      });
      await at(on, id, 'restart');
      await cli.stop(signal);
      t.equal(await cli.ended, 130, `${signal} stops watching`);
      said(t, await on.run('attach', String(id)), 0, `deployment ${id}`, /^b +: .*failed=0/m);
    }
  });

  t.test('a controller that is stopped, and started again', async (t) => {
    const deploying = on.run('deploy', 'pliable', '--version', '1.0.0');
    await at(on, 7, 'activate');
    await on.fleet.controller!.stop('SIGTERM');
    t.equal(await on.fleet.controller!.ended, 0, 'it parks and ends well');
    await on.fleet.startController();
    said(
      t,
      await deploying,
      0,
      'RECAP pliable 1.0.0',
      /^a +: .*failed=0 .*running=1\.0\.0$/m,
      /^b +: .*running=1\.0\.0$/m,
    );
    await on.unharmed(t, '1.0.0');
  });
});

t.test('the last visible host', async (t) => {
  const on = await scene(t, { hosts: ['a'], versions: [{ version: '1.1.0' }] });
  said(
    t,
    await on.run('deploy', 'pliable', '--ref', 'v1.0.0'),
    3,
    'min_visible',
    'strategy: { min_visible: 0 }',
  );
  t.equal(await on.answers('a'), null, 'nothing was started');
});

t.test('HAProxy', { skip: skipWithoutHaproxy() }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-haproxy-'));
  mkdirSync(join(dir, 'proxy'));
  const [a = 0, b = 0] = await freePorts(2);
  const servers = [
    { name: 'a', port: a },
    { name: 'b', port: b },
  ];
  const haproxy = await startHaproxy({ dir: join(dir, 'proxy'), backends: [{ name: 'web', servers }] });
  t.teardown(async () => {
    await haproxy.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const cases = [
    {
      name: 'socket missing',
      balancers: `front: { kind: haproxy, address: ${dir}/nowhere.sock }`,
      balancer: 'balancer: { name: front, backend: web }',
      says: /nowhere\.sock/,
    },
    {
      name: 'backend it does not know',
      balancers: `front: { kind: haproxy, address: ${haproxy.socket} }`,
      balancer: 'balancer: { name: front, backend: wbe }',
      says: /wbe/,
    },
    {
      name: 'server it does not know',
      balancers: `front: { kind: haproxy, address: ${haproxy.socket} }`,
      balancer: 'balancer: { name: front, backend: web, server: "x-{host}" }',
      says: /x-a/,
    },
  ];
  for (const { name, balancers, balancer, says } of cases) {
    t.test(name, async (t) => {
      const on = await scene(t, { balancers, balancer });
      const ran = await on.run('deploy', 'pliable', '--ref', 'v1.0.0');
      said(t, ran, 5, /hide +a +FAILED/, says, 'next:', /^b +: ok=0/m);
      t.equal(await on.answers('a'), null, 'nothing was started');
    });
  }

  t.test('a drain that never ends', async (t) => {
    const [port = 0, other = 0] = await freePorts(2);
    const real = [
      { name: 'a', port },
      { name: 'b', port: other },
    ];
    mkdirSync(join(dir, 'drain'));
    const own = await startHaproxy({ dir: join(dir, 'drain'), backends: [{ name: 'web', servers: real }] });
    t.teardown(() => own.stop());
    const on = await scene(t, {
      balancers: `front: { kind: haproxy, address: ${own.socket} }`,
      balancer: 'balancer: { name: front, backend: web }',
      strategy: 'on_drain_timeout: fail',
    });
    for (const [host, each] of [
      ['a', port],
      ['b', other],
    ] as const) {
      writeFileSync(
        join(on.dir, `agent-${host}.yaml`),
        `host: ${host}\ncontroller: ${on.fleet.url.replace('http', 'ws')}\nroot: ${on.fleet.rootOf(host)}\nlabels: { role: web, port: "${each}" }\n`,
      );
      await on.fleet.agents.get(host)!.stop();
      await on.fleet.startAgent(host);
    }
    said(t, await on.run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
    const slow = [0, 1].map(() => fetch(`http://127.0.0.1:${own.port}/slow`).catch(() => null));
    await waitUntil('both hosts have a session', async () => (await sessions(own.socket)) >= 2);
    said(
      t,
      await on.run('deploy', 'pliable'),
      5,
      /drain +a +FAILED/,
      'still open',
      'on_drain_timeout: go_on',
      /^a +: .*failed=1 .*rescued=1 .*running=1\.0\.0$/m,
    );
    void slow;
  });
});

async function sessions(socket: string): Promise<number> {
  const { askHaproxy } = await import('@fleet/balancers/haproxy/socket.ts');
  const [header = '', ...rows] = (await askHaproxy(socket, 'show stat', 5000)).split('\n');
  const fields = header.replace(/^# /, '').split(',');
  const name = fields.indexOf('svname');
  const now = fields.indexOf('scur');
  return rows
    .map((row) => row.split(','))
    .filter((row) => ['a', 'b'].includes(row[name] ?? ''))
    .reduce((sum, row) => sum + Number(row[now]), 0);
}
