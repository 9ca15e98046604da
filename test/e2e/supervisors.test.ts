/**
 * Two services on the same hosts, deployed at once: one that the agent runs itself, and one that a script of its own starts and
 * stops. What their fleet.yaml says is seen to happen: values, shared paths, once steps, every kind of check, crashes, reboots.
 */
import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { type Ran, waitUntil } from '../../scripts/local/program.ts';

t.setTimeout(600_000);

const HOSTS = ['a', 'b'] as const;

/** Notes each start in its shared folder, and tells on its port what it was given. */
const SERVER = `import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
const { FLEET_SERVICE, FLEET_VERSION, FLEET_HOST, PORT, GREETING, NAME } = process.env;
appendFileSync('data/starts', FLEET_VERSION + '\\n');
const told = { service: FLEET_SERVICE, version: FLEET_VERSION, host: FLEET_HOST, greeting: GREETING, name: NAME, pid: process.pid };
createServer((request, response) => {
  response.end(JSON.stringify({ ...told, starts: readFileSync('data/starts', 'utf8').split('\\n').slice(0, -1) }));
}).listen(Number(PORT), '127.0.0.1', () => console.log(FLEET_SERVICE, FLEET_VERSION, 'listens'));
process.on('SIGTERM', () => process.exit(0));
`;

/** What stands in for an init system: it knows by a file what runs. */
const CONTROL = `pid=$(cat data/pid 2>/dev/null || echo none)
runs() { [ "$pid" != none ] && kill -0 "$pid" 2>/dev/null; }
case $1 in
  start) setsid node server.mjs >>data/log 2>&1 & echo $! >data/pid ;;
  stop) kill "$pid"; while runs; do sleep 0.05; done; rm -f data/pid ;;
  status) if runs; then exit 0; else exit 3; fi ;;
esac
`;

interface Told {
  service: string;
  version: string;
  host: string;
  greeting: string;
  name: string;
  pid: number;
  starts: string[];
}

function release(dir: string, service: 'own' | 'scripted', version: string): void {
  const run =
    service === 'own'
      ? 'supervisor: process\n  command: [node, server.mjs]\n  stop: { grace: 2s }'
      : 'supervisor: command\n  start: [sh, control.sh, start]\n  stop: [sh, control.sh, stop]\n  status: [sh, control.sh, status]\n  timeout: 10s';
  const once = (name: string, when: string) =>
    `{ name: ${name}, when: ${when}, command: [sh, -c, 'echo "$0 $FLEET_HOST $FLEET_VERSION" >>"$1"', ${name}, "\${JOURNAL}"] }`;
  writeFileSync(join(dir, 'server.mjs'), SERVER);
  writeFileSync(join(dir, 'control.sh'), CONTROL);
  writeFileSync(
    join(dir, 'fleet.yaml'),
    `service: ${service}
variables: { PORT: {}, JOURNAL: {}, NAME: {}, GREETING: { default: hello } }
run:
  ${run}
  environment: { PORT: "\${PORT}", NAME: "\${NAME}", GREETING: "\${GREETING}" }
hooks:
  after_start: { command: [sh, -c, 'echo "started $FLEET_HOST $FLEET_VERSION" >>"$0"', "\${JOURNAL}"] }
once:
  - ${once('migrate', 'before')}
  - ${once('announce', 'after')}
shared: [data]
smoke:
  - { name: listens, kind: tcp, port: "\${PORT}" }
  - { name: answers, kind: http, port: "\${PORT}", contains: "\${VERSION}" }
  - { name: noted, kind: command, command: [grep, -qx, "\${VERSION}", data/starts] }
`,
  );
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: dir,
      stdio: 'ignore',
    });
  if (!readdirSync(dir).includes('.git')) git('init', '--initial-branch', 'main');
  git('add', '--all');
  git('commit', '--allow-empty', '-m', version);
  git('tag', `v${version}`);
}

async function scene(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-supervisors-'));
  const ports = await freePorts(2 * HOSTS.length);
  const portOf = (service: string, host: string) =>
    ports[2 * HOSTS.indexOf(host as 'a') + (service === 'own' ? 0 : 1)];
  for (const service of ['own', 'scripted'] as const) {
    mkdirSync(join(dir, service));
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0']) release(join(dir, service), service, version);
  }
  const placement = (service: string, more = '') => `      ${service}:
        hosts: { role: app }
        strategy: { settle: 0s, batch: [100%], patience: 5s }
        values: { PORT: { label: ${service} }, NAME: { label: name }, JOURNAL: ${join(dir, `${service}.journal`)}${more} }
`;
  const fleet = await LocalFleet.create({
    dir,
    hosts: HOSTS.map((host) => ({
      host,
      labels: {
        role: 'app',
        name: `the-${host}`,
        own: portOf('own', host)!,
        scripted: portOf('scripted', host)!,
      },
    })),
    config: `data: ./data
services:
  own: { source: { git: ./own, ref: main }, keep: 2 }
  scripted: { source: { git: ./scripted, ref: main }, keep: 2 }
environments:
  production:
    services:
${placement('own')}${placement('scripted', ', GREETING: good evening')}`,
  });
  t.teardown(async () => {
    await fleet.stop();
    fleet.remove();
  });
  await fleet.start();
  const tells = (service: string, host: string): Promise<Told | null> =>
    fetch(`http://127.0.0.1:${portOf(service, host)}/`).then(
      async (response) => (await response.json()) as Told,
      () => null,
    );
  return { dir, fleet, tells };
}

function well(t: Test, { code, stdout, stderr }: Ran): void {
  t.equal(code, 0) || t.comment(stdout + stderr);
}

t.test('two services, each with its own way to run', async (t) => {
  const { dir, fleet, tells } = await scene(t);
  const deployBoth = (version: string) =>
    Promise.all(['own', 'scripted'].map((service) => fleet.run(['deploy', service, '--ref', `v${version}`])));
  const releasesOf = (host: string, service: string) =>
    readdirSync(join(fleet.rootOf(host), service, 'releases')).sort();

  for (const version of ['1.0.0', '1.1.0']) for (const ran of await deployBoth(version)) well(t, ran);
  for (const service of ['own', 'scripted'])
    for (const host of HOSTS)
      t.match(
        await tells(service, host),
        {
          service,
          version: '1.1.0',
          host,
          name: `the-${host}`,
          greeting: service === 'own' ? 'hello' : 'good evening',
          starts: ['1.0.0', '1.1.0'],
        },
        `${service} on ${host} has its values, and what 1.0.0 left in the shared folder`,
      );

  t.test('once steps run on one host, before all others and after them', async (t) => {
    for (const service of ['own', 'scripted']) {
      const lines = readFileSync(join(dir, `${service}.journal`), 'utf8')
        .split('\n')
        .slice(4, -1);
      t.strictSame(
        [lines[0], lines.slice(1, 3).sort(), ...lines.slice(3)],
        ['migrate a 1.1.0', ['started a 1.1.0', 'started b 1.1.0'], 'announce a 1.1.0'],
        service,
      );
    }
  });

  t.test('what crashes is started again by who watches over it', async (t) => {
    const own = await tells('own', 'a');
    process.kill(own!.pid, 'SIGKILL');
    await waitUntil('it answers as another process', async () => {
      const told = await tells('own', 'a');
      return told !== null && told.pid !== own!.pid;
    });
    t.match(
      (await fleet.run(['logs', 'own', '--host', 'a'])).stdout,
      /own 1\.1\.0 was ended by SIGKILL, is started again in \d+ ms/,
    );

    // Until it has been up for a while it is not called well; which version answers is said all the same.
    t.match((await fleet.run(['status', 'own'])).stdout, /^ +a +1\.1\.0 +(recovering|running)/m);

    process.kill((await tells('scripted', 'a'))!.pid, 'SIGKILL');
    await waitUntil('its status script says so', async () =>
      /^ +a +- +stopped/m.test((await fleet.run(['status', 'scripted'])).stdout),
    );
  });

  t.test('after a reboot what should run is started again', async (t) => {
    await fleet.agents.get('b')!.stop('SIGKILL');
    powerOff(fleet.rootOf('b'));
    await waitUntil('all of it is down', async () => (await tells('own', 'b')) === null);
    await fleet.startAgent('b');
    for (const service of ['own', 'scripted'])
      await waitUntil(`${service} answers`, async () => (await tells(service, 'b'))?.version === '1.1.0');
    t.match((await fleet.run(['status'])).stdout, /(^ +b +1\.1\.0 +running\n[\s\S]*){2}/m);
  });

  t.test('a crashed one is deployed over, and old releases go', async (t) => {
    for (const version of ['1.2.0', '1.3.0']) for (const ran of await deployBoth(version)) well(t, ran);
    for (const service of ['own', 'scripted'])
      for (const host of HOSTS)
        t.strictSame(releasesOf(host, service), ['1.2.0', '1.3.0'], `${service} on ${host}`);
    for (const service of ['own', 'scripted']) well(t, await fleet.run(['rollback', service, '-y']));
    for (const service of ['own', 'scripted'])
      for (const host of HOSTS) t.match(await tells(service, host), { version: '1.2.0' });
    const again = await fleet.run(['rollback', 'own', '-y']);
    t.equal(again.code, 0) || t.comment(again.stdout + again.stderr);
    t.match(await tells('own', 'a'), { version: '1.1.0' }, 'never forward to the one that was left');
  });

  t.test('a value that changes is a change, and nothing else is', async (t) => {
    t.match((await fleet.run(['deploy', 'scripted', '--version', '1.2.0'])).stdout, 'nothing to do');
    const path = join(dir, 'controller.yaml');
    writeFileSync(path, readFileSync(path, 'utf8').replace('good evening', 'good night'));
    await fleet.controller!.stop();
    await fleet.startController();
    for (const host of HOSTS) await waitUntil(`${host} is back`, () => fleet.isConnected(host));
    const argv = ['deploy', 'scripted', '--version', '1.2.0', '--skip-check', 'noted', '-m', 'noted before'];
    const changed = await fleet.run(argv);
    well(t, changed);
    for (const host of HOSTS)
      t.match(changed.stdout, new RegExp(`^smoke +${host} .*answers passed, noted skipped`, 'm'));
    t.match((await fleet.run(['history', '-n', '1'])).stdout, /noted before/);
    for (const host of HOSTS)
      t.match(await tells('scripted', host), { version: '1.2.0', greeting: 'good night' });
  });
});

/** Everything that runs is gone at once, and what was written down is of another boot. */
function powerOff(root: string): void {
  const former = '00000000-0000-0000-0000-000000000000';
  for (const path of globSync('*/run/*.json', { cwd: root })) {
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, pid] of path.endsWith('state.json') ? text.matchAll(/"pid":(\d+)/g) : []) kill(Number(pid));
    writeFileSync(join(root, path), text.replaceAll(/("boot": ?)"[^"]*"/g, `$1"${former}"`));
  }
  for (const path of globSync('*/shared/data/pid', { cwd: root })) {
    kill(Number(readFileSync(join(root, path), 'utf8')));
    rmSync(join(root, path));
  }
}

function kill(pid: number): void {
  process.kill(pid, 'SIGKILL');
}
