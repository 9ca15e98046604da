/** `fleet doctor`: a host that is well, and then one thing after the other made bad on real processes. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Finding } from '@fleet/protocol/finding.ts';
import { keyPairFrom, privatePem, publicText } from '@fleet/trust/keys.ts';
import t, { type Test } from 'tap';
import { openAuthority } from '../../controller/trust/authority.ts';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { waitUntil } from '../../scripts/local/program.ts';
import { makeRepository } from '../../scripts/local/repository.ts';

t.setTimeout(300_000);
const DAY_MS = 24 * 60 * 60 * 1000;
const APART_MS = 10 * 60_000;

/** The fast host's clock is ten minutes ahead; TLS goes by the machine's. */
const AHEAD = `data:text/javascript,const now = Date.now; Date.now = () => now() + ${APART_MS};`;

async function openFleet(t: Test): Promise<LocalFleet> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-doctor-'));
  makeRepository(join(dir, 'segmenter'));
  const [one = 0, two = 0] = await freePorts(2);
  const role = 'segmenter';
  const fleet = await LocalFleet.create({
    dir,
    secure: true,
    hosts: [
      { host: 'web-1', labels: { role, port: one, address: '127.0.0.1' } },
      { host: 'web-2', labels: { role, port: two } },
      { host: 'fast', labels: {} },
    ],
    node: (program) => (program === 'agent-fast' ? ['--import', AHEAD] : []),
    config: `data: ./data
services:
  segmenter: { source: { git: ./segmenter, ref: main } }
environments:
  production:
    services:
      segmenter:
        hosts: { role: segmenter }
        catch_up: false
        strategy: { settle: 100ms, min_visible: 0, patience: 5s }
        values:
          PORT: { label: port }
          DATABASE: ${join(dir, 'visitors.sqlite')}
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  await fleet.start();
  return fleet;
}

/** Lines of one kind of finding, and the exit status. */
async function look(fleet: LocalFleet, host: string) {
  const { code, stdout } = await fleet.run(['doctor', host, '--json']);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  const of = (about: string) => findings.find((each) => each.about === about);
  return { code, of, bad: findings.filter(({ level }) => level === 'bad').map(({ about }) => about) };
}
async function lookOnHost(fleet: LocalFleet, host: string) {
  const ran = await fleet.run(['agent', 'doctor', '--config', `agent-${host}.yaml`, '--json']);
  const findings = JSON.parse(ran.stdout) as Finding[];
  const of = (about: string) => findings.find((each) => each.about === about);
  return { ...ran, of, bad: findings.filter(({ level }) => level === 'bad').map(({ about }) => about) };
}

t.test('what is bad with a host is named, with what to do', async (t) => {
  const fleet = await openFleet(t);
  const trust = (host: string, name: string) => join(fleet.rootOf(host), '.agent/trust', name);
  const read = (path: string) => readFileSync(path, 'utf8');

  t.match((await look(fleet, 'web-1')).of('service segmenter'), {
    level: 'ok',
    says: /not on this host/,
  });
  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.0.0']);
  const well = await fleet.run(['doctor', 'web-1']);
  t.equal(well.code, 0, well.stdout);
  for (const line of [
    /^ok +link +connected, there and back in [\d.]+ ms$/m,
    /^ok +clock +as this controller’s/m,
    /^ok +identity +joined, its certificate holds until 2/m,
    /^ok +machine +\S.*, kernel \d/m,
    /^ok +versions +agent [\d.]+, Node 24[\d.]+, controller [\d.]+, protocol 1/m,
    /^ok +certificate +of web-1, until \S+, renewal due at 2/m,
    /^ok +port for people +127.0.0.1:\d+ answers in \d+ ms, TLS verified$/m,
    /^ok +port for agents +127.0.0.1:\d+ answers in \d+ ms, TLS verified$/m,
    /^(ok|warn) +disk root +\/.*MiB|GiB free/m,
    /^ok +service segmenter +production: 1.0.0 running$/m,
  ])
    t.match(well.stdout, line);
  t.match(await fleet.run(['doctor', 'web-9']), { code: 2, stderr: /web-9/ });

  await t.test('a clock that is off', async (t) => {
    const { code, of } = await look(fleet, 'fast');
    t.equal(code, 1);
    t.match(of('clock'), { level: 'bad', says: /^(599|600|601)\.\d s ahead of/, next: /timedatectl/ });
  });

  await t.test('another version than the environment is on, and nothing of what should run', async (t) => {
    await fleet.well(['hosts', 'out', 'web-2', '-m', 'its fan']);
    t.match((await look(fleet, 'web-2')).of('out'), {
      level: 'warn',
      says: /its fan/,
      next: 'fleet hosts in web-2',
    });
    await fleet.well(['deploy', 'segmenter', '--ref', 'v1.1.0']);
    const behind = await look(fleet, 'web-2');
    t.strictSame([behind.code, behind.bad], [1, ['service segmenter']]);
    t.match(behind.of('service segmenter'), {
      says: /1\.0\.0 running, and production is on 1\.1\.0/,
      next: 'fleet deploy segmenter -e production --host web-2 --version 1.1.0',
    });
    const home = join(fleet.rootOf('web-1'), 'segmenter');
    rmSync(join(home, 'current'));
    symlinkSync('releases/1.0.0', join(home, 'current'));
    t.match((await look(fleet, 'web-1')).of('service segmenter'), {
      level: 'bad',
      says: /1\.1\.0 running, and current is 1\.0\.0/,
    });
    rmSync(join(home, 'current'));
    symlinkSync('releases/1.1.0', join(home, 'current'));
    t.match((await look(fleet, 'web-1')).of('service segmenter'), { level: 'ok' });
  });

  await t.test('a certificate that is nobody’s, over, and late', async (t) => {
    const keys = keyPairFrom(read(join(fleet.dir, 'data/trust/ca.key')), 'ca.key');
    const own = keyPairFrom(read(trust('web-1', 'agent.key')), 'agent.key');
    const pem = read(join(fleet.dir, 'data/trust/ca.pem'));
    const before = read(trust('web-1', 'agent.pem'));
    const issued = async (host: string, at: number) =>
      (await openAuthority(keys, pem, () => at)).issueAgent(host, publicText(own.publicKey));
    const seen = async (certificate: string) => {
      writeFileSync(trust('web-1', 'agent.pem'), certificate);
      return (await look(fleet, 'web-1')).of('certificate');
    };
    const day = (days: number) => Date.now() + days * DAY_MS;
    t.match(await seen(await issued('web-7', day(0))), { level: 'bad', says: /for CN=web-7/ });
    t.match(await seen(await issued('web-1', day(-8))), { level: 'bad', says: /it ended at/ });
    t.match(await seen(await issued('web-1', day(2))), { level: 'bad', says: /holds from/ });
    t.match(await seen(await issued('web-1', day(-6))), { level: 'warn', says: /should have been renewed/ });
    t.match(await seen(before), { level: 'ok' });
  });

  await t.test('from the host, when there is no link', async (t) => {
    const fine = await lookOnHost(fleet, 'web-1');
    t.strictSame([fine.code, fine.bad], [0, []], fine.stdout);
    t.match(fine.of('port for agents'), { level: 'ok', says: /TLS verified/ });
    t.ok(await fleet.isConnected('web-1'), 'looking does not end the link of its agent');

    const joined = trust('web-1', 'joined.json');
    const before = read(joined);
    const seen = async (more: object) => {
      writeFileSync(joined, JSON.stringify({ ...JSON.parse(before), ...more }), { mode: 0o600 });
      return lookOnHost(fleet, 'web-1');
    };
    const stranger = createServer({ cert: pemOf(fleet, 'ca.pem'), key: pemOf(fleet, 'ca.key') });
    const silent = createPlain(() => {});
    for (const server of [stranger, silent]) {
      server.on('error', () => {}).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      t.teardown(() => server.close());
    }
    const at = (server: typeof silent) => `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const nobody = await seen({ url: 'https://127.0.0.1:1' });
    t.strictSame([nobody.code, nobody.bad], [1, ['port for people']]);
    t.match(nobody.of('port for people'), {
      says: /nothing listens on its port 1/,
      next: /fleet-controller/,
    });
    t.match((await seen({ url: 'https://nowhere.invalid:7300' })).of('port for people'), {
      level: 'bad',
      says: /nowhere\.invalid has no address here/,
    });
    t.match((await seen({ agents: `wss://${at(stranger)}` })).of('port for agents'), {
      level: 'bad',
      says: /is not the controller/,
    });
    t.match((await seen({ url: `https://${at(silent)}` })).of('port for people'), {
      level: 'bad',
      says: /nothing comes back from 127/,
      next: /firewall/,
    });
    await seen({});
    chmodSync(join(fleet.dir, 'agent-web-1.yaml'), 0o666);
    t.match((await lookOnHost(fleet, 'web-1')).of('configuration'), { level: 'bad', next: /chmod go-w/ });
    chmodSync(join(fleet.dir, 'agent-web-1.yaml'), 0o644);
    chmodSync(fleet.rootOf('web-1'), 0o777);
    t.match((await lookOnHost(fleet, 'web-1')).of('folder root'), {
      level: 'bad',
      says: /written by others/,
    });
    chmodSync(fleet.rootOf('web-1'), 0o755);
    chmodSync(trust('web-1', 'agent.key'), 0o644);
    t.match((await lookOnHost(fleet, 'web-1')).of('configuration'), { level: 'bad', says: /agent\.key/ });
    chmodSync(trust('web-1', 'agent.key'), 0o600);
    t.match(await fleet.run(['agent', 'doctor', '--nothing']), { code: 2 });
  });

  await t.test('a host that is not connected, and one that was cut off', async (t) => {
    await fleet.agents.get('web-1')!.stop();
    await waitUntil('web-1 is gone', async () => !(await fleet.isConnected('web-1')));
    const gone = await look(fleet, 'web-1');
    t.equal(gone.code, 1);
    t.match(gone.of('link'), {
      level: 'bad',
      says: /not connected; last seen 2/,
      next: /systemctl status fleet-agent.*journalctl.*sudo -u fleet .*doctor --config/,
    });
    t.match(gone.of('machine'), { level: 'ok', says: /127\.0\.0\.1 answers/ });
    await fleet.well(['hosts', 'revoke', 'web-1']);
    t.match((await look(fleet, 'web-1')).of('identity'), { level: 'bad', next: /token create --host web-1/ });
    t.match((await lookOnHost(fleet, 'web-1')).of('port for agents'), {
      level: 'bad',
      says: /does not take this host/,
      next: /fleet hosts joined/,
    });
    t.ok(readdirSync(fleet.rootOf('web-1')).length > 0);
    renameSync(join(fleet.rootOf('web-1'), '.agent'), join(fleet.dir, 'aside'));
    t.match(await lookOnHost(fleet, 'web-1'), { code: 1, bad: ['configuration'] });
  });
});

function pemOf(fleet: LocalFleet, name: 'ca.pem' | 'ca.key'): string {
  const text = readFileSync(join(fleet.dir, 'data/trust', name), 'utf8');
  return name === 'ca.pem' ? text : privatePem(keyPairFrom(text, name).privateKey);
}
