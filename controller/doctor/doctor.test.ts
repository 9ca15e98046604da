/** What the controller itself sees of a host: its balancer, its versions, and a link over which nothing comes. */
import { controllerConfig } from '@fleet/config/controller.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { MachineFacts } from '@fleet/protocol/messages/host.ts';
import t from 'tap';
import { placesOn } from '../config/config.ts';
import { FakeBalancer } from '../deploy/balancer.fixture.ts';
import type { HostRecord } from '../store/hosts.ts';
import { lookAtIdentity, lookAtLink, lookFromHere } from './link.ts';
import { lookAtBalancer } from './services.ts';
import type { Surgery } from './surgery.ts';
import { lookAtVersions } from './versions.ts';

const host: HostRecord = {
  ...{ host: 'web-1', instance: '', platform: 'linux-x64', agent: '0.1.0', bootId: '', freeDisk: 1 },
  ...{ labels: { role: 'web' }, services: [], lastSeen: '2026-11-21T09:30:00.000Z', since: '', letIn: null },
};
const CONFIG = {
  ...controllerConfig.parse({
    services: { segmenter: { source: { git: 'nowhere' } } },
    balancers: { front: { kind: 'haproxy', address: '/nowhere' } },
    environments: {
      production: {
        services: {
          segmenter: { hosts: { role: 'web' }, balancer: { name: 'front', backend: 'segmenter' } },
        },
      },
    },
  }),
  file: 'controller.yaml',
};
const [place] = placesOn(CONFIG, host);

function surgeryWith(parts: object): Surgery {
  return { config: CONFIG, version: '0.1.0', now: Date.now, ...parts } as Surgery;
}

t.test('the balancer’s view', async (t) => {
  const hosts = new Map([['web-1', { running: '1.0.0' }]]) as unknown as ConstructorParameters<
    typeof FakeBalancer
  >[0];
  const balancer = new FakeBalancer(hosts, () => {});
  let hidden: object[] = [];
  const surgery = surgeryWith({ balancer: () => balancer, store: { hidden: { list: async () => hidden } } });
  const seen = () => lookAtBalancer(surgery, host, place!);
  t.match(await seen(), { level: 'ok', about: 'balancer front', says: /visible/ });
  balancer.down.add('web-1');
  t.match(await seen(), { level: 'bad', says: /down/ });
  balancer.down.clear();
  balancer.admin.set('web-1', 'maint');
  t.match(await seen(), { level: 'warn', says: /not by fleet/ });
  hidden = [
    { service: 'segmenter', environment: 'production', host: 'web-1', reason: 'failed', since: 'now' },
  ];
  t.match(await seen(), { level: 'warn', says: /hidden: failed, since now/, next: /--host web-1/ });
  balancer.admin.delete('web-1');
  t.match(await seen(), { level: 'bad', says: /no server web-1/ });
  balancer.unreachable = true;
  t.match(await seen(), { level: 'bad', says: /does not answer/ });
  const alone = { ...place!, balancer: undefined };
  t.equal(await lookAtBalancer(surgery, host, alone), undefined, 'a service without users');
});

t.test('a link over which nothing comes, and an agent that is too old to be asked', async (t) => {
  const failing = (code: 'timeout' | 'unknown_method') =>
    surgeryWith({ agents: { ask: () => Promise.reject(new FleetError(code, 'no answer')) } });
  t.match(await lookAtLink(failing('timeout'), 'web-1'), [{ level: 'bad', next: /fleet-agent.*doctor/ }]);
  t.match(await lookAtLink(failing('unknown_method'), 'web-1'), [
    { level: 'warn', next: 'fleet agents upgrade' },
  ]);
  const behind = surgeryWith({ agents: { ask: async () => ({ at: Date.now() - 30_000 }) } });
  t.match(await lookAtLink(behind, 'web-1'), [
    { level: 'ok', about: 'link' },
    { level: 'warn', about: 'clock', says: /^(29\.9|30\.0) s behind/ },
  ]);
});

t.test('a host whose machine does not answer', async (t) => {
  // Nothing is ever routed there: a refusal at once, or silence.
  const silent = { ...host, labels: { address: 'nowhere.invalid' } };
  t.match(await lookFromHere(silent), [
    { level: 'bad', about: 'link', says: /last seen 2026-11-21T09:30/ },
    { level: 'bad', about: 'machine', next: /ping nowhere\.invalid/ },
  ]);
});

t.test('the books', async (t) => {
  const active = {
    ...{ key: 'a'.repeat(64), host: 'web-1', labels: {}, state: 'active' as const, token: '', publicKey: '' },
    ...{ joinedAt: '', expiresAt: '2026-11-21T09:30:00.000Z', endedAt: null, endedBy: null },
  };
  const end = Date.parse(active.expiresAt);
  t.equal(lookAtIdentity('web-2', [active], 0), undefined);
  t.match(lookAtIdentity('web-1', [active], end - 1), { level: 'ok' });
  t.match(lookAtIdentity('web-1', [active], end), { level: 'warn', next: /30 days.*token create/ });
  t.match(lookAtIdentity('web-1', [{ ...active, state: 'waiting' }], 0), {
    level: 'bad',
    next: /aaaaaaaaaaaaaaaa\? fleet hosts approve web-1/,
  });
  const revoked = { ...active, state: 'revoked' as const, endedAt: 'then', endedBy: 'ann' };
  t.match(lookAtIdentity('web-1', [revoked, active], 0), { level: 'ok' }, 'it has joined again since');
  t.match(lookAtIdentity('web-1', [active, revoked], 0), { level: 'bad', says: /revoked at then by ann/ });
});

t.test('versions', async (t) => {
  const facts: MachineFacts = {
    ...{ agent: '0.1.0', node: '24.1.0', protocol: { min: 1, max: 1 }, platform: 'linux-x64' },
    ...{ kernel: '6.1', distribution: 'Debian', libc: 'glibc 2.36', packages: null },
  };
  const own = (current: string) => ({
    platform: 'linux-x64',
    services: [{ service: 'fleet-agent', current, releases: [] }],
  });
  const programs = ['linux-arm64', 'linux'].map((platform) => ({
    ...{ service: 'fleet-agent' as const, version: `0.2.0-${platform}`, identity: '', size: 1, signed: null },
    platform,
  }));
  const level = (current: string) => lookAtVersions(facts, own(current), programs, '0.2.0').at(-1);
  t.match(level('0.1.0-old'), {
    level: 'warn',
    says: /0\.1\.0-old, and 0\.2\.0-linux/,
    next: /agents upgrade/,
  });
  t.match(level('0.2.0-linux'), { level: 'ok' });
  t.match(lookAtVersions(facts, { ...own(''), services: [] }, programs, '0.2.0').at(-1), { level: 'ok' });
});
