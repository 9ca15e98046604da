import { join } from 'node:path';
import { run as runSchema } from '@fleet/protocol/service.ts';
import t, { type Test } from 'tap';
import { loadConfig } from './config.ts';
import { resolveProfile, userCalled } from './profiles.ts';

const SERVICES = `
services:
  segmenter: { source: { directory: . } }
  worker: { source: { directory: . } }
environments:
  production:
    services:
      segmenter: { hosts: { role: web, environment: production } }
      worker: { hosts: { environment: production } }
  staging:
    services:
      segmenter: { hosts: { role: web, environment: staging } }
`;
const RUN = runSchema.parse({ supervisor: 'process', command: ['node', 'a.js'] });

async function withProfiles(t: Test, text: string, files: Record<string, string> = {}) {
  const folder = t.testdir({ 'controller.yaml': SERVICES + text, ...files });
  return loadConfig(join(folder, 'controller.yaml'));
}

t.test('what a profile does not say is the least that its services need', async (t) => {
  const config = await withProfiles(
    t,
    'profiles: { web: { labels: { role: web, environment: production } } }',
  );
  const shown = await resolveProfile(config, 'web', async (service) =>
    service === 'segmenter' ? { version: '1.0.0', run: RUN } : undefined,
  );
  t.match(shown.policy, {
    services: ['segmenter', 'worker'],
    run_as: { segmenter: 'segmenter', worker: 'worker' },
    labels: { role: ['web'], environment: ['production'] },
  });
  t.strictSame(
    shown.services.map(({ service, environment, user, version, run }) => [
      service,
      environment,
      user,
      version,
      run,
    ]),
    [
      [
        'segmenter',
        'production',
        'segmenter',
        '1.0.0',
        { supervisor: 'process', unit: null, program: null, launched: false },
      ],
      ['worker', 'production', 'worker', null, null],
    ],
  );
  t.strictSame(
    shown.users.map(({ name }) => name),
    ['segmenter', 'worker'],
  );
  await t.rejects(
    resolveProfile(config, 'wbe', async () => undefined),
    {
      code: 'unknown_profile',
      message: /did you mean `web`/,
    },
  );
});

const SAID = `
profiles:
  web:
    labels: { role: web, environment: staging, port: 8080 }
    policy: { services: [segmenter, "work*"], run_as: { segmenter: app } }
    users: { app: { groups: [adm] }, reporter: { home: /var/lib/reporter } }
    files:
      - { path: /etc/a.conf, source: a.conf, mode: "0600" }
      - { path: /etc/b.conf, content: "b", owner: app }
`;

t.test('what it says, and what its files hold', async (t) => {
  const shown = await resolveProfile(
    await withProfiles(t, SAID, { 'a.conf': 'a' }),
    'web',
    async () => undefined,
  );
  t.strictSame(shown.policy.run_as, { segmenter: 'app', worker: 'worker' });
  t.strictSame(shown.users, [
    { name: 'app', groups: ['adm'], home: null },
    { name: 'reporter', groups: [], home: '/var/lib/reporter' },
  ]);
  t.strictSame(
    shown.files.map(({ path, content, owner, mode }) => [path, atob(content), owner, mode]),
    [
      ['/etc/a.conf', 'a', 'root', '0600'],
      ['/etc/b.conf', 'b', 'app', '0644'],
    ],
  );
});

t.test('a file that is not there is named', async (t) => {
  const config = await withProfiles(t, SAID);
  await t.rejects(
    resolveProfile(config, 'web', async () => undefined),
    { code: 'bad_config', message: /a\.conf/ },
  );
});

t.test('neither root nor the agent’s user runs a service', async (t) => {
  for (const user of ['root', 'fleet', 'self'])
    await t.rejects(
      withProfiles(t, `profiles: { web: { labels: {}, policy: { run_as: { segmenter: ${user} } } } }`),
      { code: 'bad_config', message: /a service has a user of its own/ },
    );
  t.equal(userCalled('cubed-api.v2'), 'cubed-api-v2');
  t.equal(userCalled('9to5'), 'svc-9to5');
  t.equal(userCalled('mail'), 'svc-mail');
  t.equal(userCalled('fleet'), 'svc-fleet');
});
