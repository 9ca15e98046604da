import { createHash } from 'node:crypto';
import type { IdentityRow } from '@fleet/protocol/api/enrolment.ts';
import type { ProfileShown } from '@fleet/protocol/api/profiles.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import t from 'tap';
import { type Inventory, type JoinedHost, parseInventory } from './inventory.ts';
import { type Known, plan } from './plan.ts';
import type { ProgramFiles } from './programs.ts';
import { parseSurvey, platformOf, requireFit } from './survey.ts';
import { wantedOf } from './wanted.ts';

const PROFILE: ProfileShown = {
  profile: 'web',
  labels: { role: 'web' },
  controller: null,
  ssh: { user: 'root', port: 22 },
  packages: ['curl'],
  users: [{ name: 'app', groups: ['adm'], home: null }],
  files: [{ path: '/etc/a.conf', content: 'YQ==', owner: 'app', group: 'app', mode: '0600' }],
  steps: [{ name: 'one', command: ['true'], timeout: 1000 }],
  hooks: [
    { name: 'first', command: ['true'], timeout: 1000, when: 'before' },
    { name: 'last', command: ['true'], timeout: 1000, when: 'after' },
  ],
  policy: { services: ['api'], run_as: { api: 'app' }, labels: { role: ['web'] }, upgrades: true },
  services: [
    { service: 'api', environment: 'production', user: 'app', version: null, run: null },
    {
      service: 'job',
      environment: 'production',
      user: 'app',
      version: '1',
      run: { supervisor: 'process', unit: null, program: null, launched: false },
    },
    {
      service: 'own',
      environment: 'production',
      user: 'app',
      version: '1',
      run: { supervisor: 'systemd', unit: 'team.service', program: null, launched: false },
    },
  ],
  agentsPort: 7301,
  now: '2026-11-21T00:00:00.000Z',
};
const program = (service: ProgramFiles['service'], version: string) =>
  ({
    service,
    version,
    main: 'main',
    manifest: { files: [] } as unknown as Manifest,
    manifestBytes: Buffer.alloc(0),
  }) as unknown as ProgramFiles;
const WANTED = wantedOf('web-1', PROFILE, {
  node: program('fleet-node', '24'),
  agent: program('fleet-agent', '2'),
});
const JOINED: JoinedHost = { host: 'web-1', url: 'https://a', ca: 'ours', key: 'k' };
const IDENTITY = { host: 'web-1', key: 'k', state: 'active' } as IdentityRow;
const BARE: Known = { ca: 'ours', identity: undefined, connected: false };
const KNOWN: Known = { ...BARE, identity: IDENTITY, connected: true };

/** A host where everything is as it should be. */
function whole(): Inventory {
  const nologin = { shell: '/usr/sbin/nologin', home: '/' };
  const rights = ({ mode, owner, group }: { mode: string; owner: string; group: string }) => ({
    mode,
    owner,
    group,
  });
  return {
    users: new Map([
      ['fleet', { ...nologin, groups: ['fleet', 'app', 'systemd-journal'] }],
      ['app', { ...nologin, groups: ['app', 'adm'] }],
    ]),
    groups: new Set(['app', 'adm', 'systemd-journal']),
    packages: new Set(['curl']),
    files: new Map(
      [...WANTED.files, ...WANTED.own].map((file) => [file.path, { ...rights(file), sha256: file.sha256 }]),
    ),
    directories: new Map([...WANTED.before, ...WANTED.after].map((place) => [place.path, rights(place)])),
    units: new Map(
      ['fleet-agent.service', 'fleet-api.service'].map((unit) => [unit, { enabled: true, active: true }]),
    ),
    reload: false,
    stale: false,
    programs: new Map([
      ['fleet-node', { current: '24', whole: new Set(['24']), runs: true }],
      ['fleet-agent', { current: '2', whole: new Set(['2']), runs: true }],
    ]),
    libstdcpp: true,
    sudo: true,
    joined: JOINED,
    made: [],
  };
}
const kinds = (there: Inventory, known = KNOWN) =>
  plan(there, WANTED, known).acts.map(({ kind, says }) => `${kind} ${says}`);
const ALWAYS = 3;

t.test('nothing differs: nothing is done, but what the profile wants done each time', async (t) => {
  const { acts, held, notes } = plan(whole(), WANTED, KNOWN);
  t.same(
    acts.map(({ kind }) => kind),
    ['hook', 'step', 'hook'],
  );
  t.ok(held > 20);
  t.same(notes, []);
});

t.test('a bare machine: in an order in which each stands on what was done before', async (t) => {
  const acts = kinds(parseInventory(''), BARE);
  const order = [
    'hook first',
    'package install curl, sudo, libstdc++6',
    'directory /etc/fleet',
    'user make the user fleet',
    'user add fleet to app',
    'directory /srv/fleet',
    'file write /etc/a.conf',
    'step one',
    'file write /etc/sudoers.d/fleet',
    'program put fleet-node',
    'program current of fleet-agent',
    'join join as web-1',
    'unit let systemd',
    'agent start',
    'connected ',
    'hook last',
  ];
  const places = order.map((each) => acts.findIndex((act) => act.startsWith(each)));
  t.notOk(places.includes(-1), JSON.stringify(order.filter((_, index) => places[index] === -1)));
  t.same(
    [...places].sort((a, b) => a - b),
    places,
  );
});

t.test('one thing differs: that, and what follows from it', async (t) => {
  const changes: Array<[string, (there: Inventory) => void, RegExp[]]> = [
    ['a package is gone', (there) => there.packages.clear(), [/^package install curl$/]],
    [
      'rights of a folder',
      (there) => there.directories.set('/srv/fleet', { mode: '0777', owner: 'fleet', group: 'fleet' }),
      [/^directory \/srv\/fleet/],
    ],
    ['a file of the profile', (there) => there.files.delete('/etc/a.conf'), [/^file write \/etc\/a\.conf/]],
    [
      'the policy',
      (there) =>
        there.files.set('/etc/fleet/agent.yaml', { mode: '0644', owner: 'root', group: 'root', sha256: '' }),
      [/^file change/, /^agent restart/, /^connected/],
    ],
    [
      'the unit of a service',
      (there) => there.files.delete('/etc/systemd/system/fleet-api.service'),
      [/^file write/, /^unit let systemd/],
    ],
    [
      'a reload that was never made',
      (there) => Object.assign(there, { reload: true }),
      [/^unit let systemd/],
    ],
    [
      'a restart that was never made',
      (there) => Object.assign(there, { stale: true }),
      [/^agent restart/, /^connected/],
    ],
    [
      'a group',
      (there) => there.users.get('fleet')?.groups.splice(1, 1),
      [/^user add fleet to app$/, /^agent restart/, /^connected/],
    ],
    [
      'a damaged release',
      (there) => there.programs.get('fleet-agent')?.whole.clear(),
      [/^program put fleet-agent/, /^program current/, /^agent restart/, /^connected/],
    ],
    [
      'the agent does not run',
      (there) => there.units.set('fleet-agent.service', { enabled: true, active: false }),
      [/^agent start/, /^connected/],
    ],
  ];
  for (const [what, change, expected] of changes) {
    const there = whole();
    change(there);
    const acts = kinds(there).filter((act) => !/^(hook|step) /.test(act));
    t.match(acts, expected, what);
    t.equal(acts.length, expected.length, `${what}: ${acts.join('; ')}`);
  }
});

t.test('a newer agent that runs is left to the upgrade', async (t) => {
  const there = whole();
  there.programs.set('fleet-agent', { current: '3', whole: new Set(), runs: true });
  const { acts, notes } = plan(there, WANTED, KNOWN);
  t.equal(acts.length, ALWAYS);
  t.match(notes, [/has fleet-agent 3; fleet agents upgrade/]);
  there.programs.set('fleet-agent', { current: '3', whole: new Set(), runs: false });
  t.match(
    kinds(there),
    [/hook/, /step/, /put fleet-agent 2/, /current of fleet-agent is 2/, /restart/, /connected/, /hook/],
    'one that cannot be started is not',
  );
});

t.test('a host that takes no upgrade gets its agent here', async (t) => {
  const there = whole();
  there.programs.set('fleet-agent', { current: '1', whole: new Set(), runs: true });
  const upgrades = { ...WANTED, profile: { ...PROFILE, policy: { ...PROFILE.policy, upgrades: false } } };
  const acts = plan(there, upgrades, KNOWN).acts.map(({ says }) => says);
  t.ok(
    acts.includes('put fleet-agent 2 in place') && acts.includes('restart fleet-agent.service'),
    acts.join('; '),
  );
});

t.test('who has joined, and as whom', async (t) => {
  const as = (joined: JoinedHost | undefined, known: Known) =>
    kinds({ ...whole(), joined }, known).filter((act) => act.startsWith('join'));
  t.same(as(JOINED, KNOWN), []);
  t.match(as(undefined, BARE), [/join as web-1, with a token made for it$/]);
  t.match(as(JOINED, BARE), [/and a new key$/], 'one that was revoked');
  const refused = (joined: JoinedHost | undefined, known: Known) => {
    try {
      return as(joined, known);
    } catch (error) {
      return error as { code: string; message: string };
    }
  };
  t.match(refused({ ...JOINED, ca: 'theirs' }, KNOWN), {
    code: 'other_fleet',
    message: /another fleet, that of https:\/\/a, as web-1/,
  });
  t.match(refused({ ...JOINED, host: 'web-2' }, KNOWN), { code: 'other_fleet', message: /as web-2/ });
  t.match(refused(undefined, KNOWN), { code: 'name_in_use' });
  t.match(refused({ ...JOINED, key: 'another' }, KNOWN), { code: 'name_in_use' });
  const there = whole();
  there.users.set('fleet', { shell: '/bin/bash', home: '/home/fleet', groups: [] });
  t.throws(() => plan(there, WANTED, KNOWN), {
    code: 'unfit_host',
    message: /has a user fleet already, who can log in/,
  });
});

t.test('a service of supervisord gets its program there, and supervisord itself', async (t) => {
  const run = { supervisor: 'supervisord', unit: null, program: 'web', launched: true };
  const services = [{ service: 'api', environment: 'production', user: 'app', version: null, run }];
  const wanted = wantedOf('web-1', { ...PROFILE, services }, WANTED.programs);
  t.same(wanted.units, []);
  const acts = plan(whole(), wanted, KNOWN).acts.map(({ says }) => says);
  t.match(
    acts.join('\n'),
    /install supervisor\n[\s\S]*write \/etc\/supervisor\/conf\.d\/fleet-api\.conf[\s\S]*let supervisord read its programs anew/,
  );
  const rules = wanted.own.find(({ path }) => path === '/etc/sudoers.d/fleet')?.content.toString();
  t.match(rules, 'supervisorctl start web');
  const own = {
    ...wanted,
    own: wantedOf(
      'web-1',
      { ...PROFILE, services: [{ ...services[0]!, run: { ...run, launched: false } }] },
      WANTED.programs,
    ).own,
  };
  t.notOk(
    own.own.some(({ path }) => path.startsWith('/etc/supervisor')),
    'not where its own configuration says what runs',
  );
});

t.test('units and rules are those of services that need them', async (t) => {
  t.same(WANTED.units, ['fleet-api.service']);
  const text = (path: string) => WANTED.own.find((file) => file.path === path)?.content.toString() ?? '';
  t.match(text('/etc/sudoers.d/fleet'), 'systemctl restart fleet-api.service');
  t.match(text('/etc/sudoers.d/fleet'), 'systemctl restart team.service');
  t.notMatch(text('/etc/sudoers.d/fleet'), 'fleet-job');
  t.match(text('/etc/fleet/agent.yaml'), 'run_as:\n    "api": "app"');
  for (const { content, sha256 } of WANTED.own)
    t.equal(createHash('sha256').update(content).digest('hex'), sha256);
});

const FIT = [
  'os\tdebian',
  'version\t12',
  'apt\tyes',
  'machine\tx86_64',
  'libc\tglibc 2.36',
  'init\tsystemd',
  'free\t/srv 9999999',
  'free\t/var 9999999',
  'free\t/usr 9999999',
  'port\t7300 open',
  'port\t7301 open',
  'clock\t1000',
];
const fit = (...instead: string[]) => {
  const keyOf = (line: string) =>
    line
      .split(/[\t ]/)
      .slice(0, line.startsWith('free') || line.startsWith('port') ? 2 : 1)
      .join();
  const kept = FIT.filter((line) => !instead.some((other) => keyOf(other) === keyOf(line)));
  return parseSurvey([...kept, ...instead].join('\n'), 1_000_000);
};

t.test('a machine that fleet cannot be on is refused, by the first reason', async (t) => {
  const url = 'https://10.0.0.1:7300';
  t.doesNotThrow(() => requireFit('a', fit(), { url }));
  t.equal(platformOf('a', fit('machine\taarch64')), 'linux-arm64');
  for (const [line, code, message] of [
    ['machine\tarmv7l', 'unfit_host', /is a armv7l/],
    ['init\trunit', 'unfit_host', /no systemd \(process 1 is runit\)/],
    ['libc\tglibc 2.24', 'unfit_host', /glibc 2\.24, and Node needs glibc 2\.28/],
    ['libc\t', 'unfit_host', /no glibc/],
    ['free\t/srv 1000', 'disk_full', /1 MB free at \/srv/],
    ['clock\t1301', 'clock_off', /5 min ahead of/],
    ['clock\t400', 'clock_off', /10 min behind/],
    ['port\t7301 Connection refused', 'controller_unreachable', /port 7301: Connection refused/],
  ] as const)
    t.throws(() => requireFit('a', fit(line), { url }), { code, message }, line);
  t.doesNotThrow(() => requireFit('a', fit('clock\t1299'), { url }));
});
