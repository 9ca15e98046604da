import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkController } from './check.ts';
import { tellProblem } from './load.ts';

const FLEET = `service: web
variables: { PORT: {}, MODE: { default: fast } }
run: { supervisor: process, command: [node, server.js] }
`;
const GOOD = `services:
  web: { source: { directory: ./app } }
balancers:
  lb: { kind: haproxy, address: /run/lb.sock }
  try: { kind: embedded, listen: 127.0.0.1:8000 }
environments:
  staging:
    services:
      web:
        hosts: { environment: staging }
        values: { PORT: 80 }
  production:
    services:
      web:
        hosts: { environment: production }
        balancer: { name: lb, backend: web }
        strategy: { batch: [1, 50%] }
        values: { PORT: { label: port } }
`;

async function check(t: Test, text: string, fleet = FLEET) {
  const dir = t.testdir({ app: { 'fleet.yaml': fleet }, 'controller.yaml': text });
  const { config, problems, notes } = await checkController(join(dir, 'controller.yaml'));
  const told = problems.map((problem) => tellProblem(problem).replaceAll(`${dir}/`, ''));
  return { config, told, notes };
}

t.test('a good one', async (t) => {
  const { config, told, notes } = await check(t, GOOD);
  t.strictSame(told, []);
  t.strictSame(notes, []);
  t.ok(config);
});

t.test('names that do not exist, and what does not go together', async (t) => {
  const at = 'environments.production.services.web';
  const cases: Array<[from: string, to: string, says: string]> = [
    [
      'name: lb',
      'name: bl',
      `controller.yaml:16:27: ${at}.balancer.name: no such balancer \`bl\`, did you mean \`lb\`?`,
    ],
    [
      'name: lb',
      'name: try',
      `controller.yaml:16:9: ${at}.balancer: the embedded balancer must be told where it finds a host: add \`address: 127.0.0.1:{label.port}\``,
    ],
    [
      'backend: web }',
      'backend: web, address: 127.0.0.1:80 }',
      `controller.yaml:16:54: ${at}.balancer.address: every host would be added under one address: take it from the host, like {label.address}:80`,
    ],
    [
      '50%',
      '101%',
      `controller.yaml:17:32: ${at}.strategy.batch[1]: 101% of the hosts is more than there are`,
    ],
    [
      '50%',
      '100%',
      `controller.yaml:17:32: ${at}.strategy.batch[1]: 100% would hide every host, and min_visible is 1: take a smaller batch, or write \`min_visible: 0\``,
    ],
    [
      '{ PORT: { label: port } }',
      '{ PORT: { label: port }, MODDE: slow }',
      `controller.yaml:18:42: ${at}.values.MODDE: app/fleet.yaml declares no such variable, did you mean \`MODE\`?`,
    ],
    [
      '{ PORT: { label: port } }',
      '{}',
      `controller.yaml:18:9: ${at}.values: PORT has no value: app/fleet.yaml declares it without a default`,
    ],
    [
      'listen: 127.0.0.1:8000',
      'listen: 127.0.0.1:7300',
      'controller.yaml:5:34: balancers.try.listen: the controller listens on 127.0.0.1:7300 already',
    ],
    ['./app', './ap', 'controller.yaml:2:10: services.web.source: there is no folder ap'],
  ];
  for (const [from, to, says] of cases)
    t.strictSame((await check(t, GOOD.replace(from, to))).told, [says], to);

  const strange = await check(t, `${GOOD}      constructor:\n        hosts: { role: x }\n`);
  t.strictSame(strange.told, [
    'controller.yaml:19:7: environments.production.services.constructor: no such service; there is web',
  ]);
});

t.test('two environments of one service never claim one host', async (t) => {
  const overlaps = async (staging: string, production: string) => {
    const text = GOOD.replace('{ environment: staging }', staging).replace(
      '{ environment: production }',
      production,
    );
    return (await check(t, text)).told;
  };
  t.match(await overlaps('{ role: web }', '{ role: web }'), [
    /^controller.yaml:15:9: environments.production.services.web.hosts: a host with these labels may also be in staging/,
  ]);
  t.equal(
    (await overlaps('{ role: web }', '{ role: web, environment: production }')).length,
    1,
    'a part of the other',
  );
  t.equal(
    (await overlaps('{ role: web }', '{ rack: a }')).length,
    1,
    'labels that one host can have both of',
  );
  t.equal((await overlaps('{}', '{ rack: a }')).length, 1);
  t.strictSame(await overlaps('{ role: web, stage: a }', '{ role: web, stage: b }'), []);
});

t.test('the service’s own file', async (t) => {
  t.match((await check(t, GOOD, FLEET.replace('command:', 'comand:'))).told, [
    /^app\/fleet.yaml:3:29: run.comand: unknown key, did you mean `command`/,
  ]);
  t.strictSame((await check(t, GOOD, FLEET.replace('web', 'wbe'))).told, [
    'app/fleet.yaml:1:10: service: is `wbe`, but controller.yaml calls it `web`',
  ]);
  const placed = GOOD.replace(
    'hosts: { environment: staging }',
    'hosts: { environment: staging }\n        once_on: a',
  );
  t.match((await check(t, placed)).notes, [
    'web in staging: once_on has no effect, fleet.yaml has no once steps.',
  ]);
  const idle = GOOD.replace('balancers:', '  idle: { source: { directory: ./app } }\nbalancers:');
  t.match((await check(t, idle)).notes, [/^idle is in no environment/]);
  t.equal((await check(t, 'services: 5')).config, undefined);
});

t.test('git repositories are looked at where they are', async (t) => {
  const repo = await mkdtemp(join(tmpdir(), 'fleet-check-'));
  t.teardown(() => rm(repo, { recursive: true, force: true }));
  const git = (...args: string[]) =>
    execFileSync(
      'git',
      ['-c', 'user.name=T', '-c', 'user.email=t@example.org', '-c', 'init.defaultBranch=main', ...args],
      {
        cwd: repo,
      },
    );
  git('init', '-q');
  await writeFile(join(repo, 'fleet.yaml'), FLEET.replace('MODE', 'SPEED'));
  git('add', '.');
  git('commit', '-q', '-m', 'one');
  await writeFile(join(repo, 'fleet.yaml'), 'not what is committed');
  const from = (source: string) =>
    check(t, GOOD.replace('{ directory: ./app }', source).replace('PORT: 80', 'PORT: 80, MODE: x'));
  t.strictSame((await from(`{ git: ${repo} }`)).told, [
    `controller.yaml:11:29: environments.staging.services.web.values.MODE: ${repo}@main:fleet.yaml declares no such variable; there are PORT, SPEED`,
  ]);
  t.match((await from(`{ git: ${repo}, ref: nope }`)).told, [/@nope:fleet.yaml cannot be read/]);
  t.match((await from(`{ git: ${repo}/none }`)).told, [/there is no repository/]);
  const far = await from('{ git: "git@example.com:a/b.git" }');
  t.strictSame(far.told, []);
  t.match(far.notes, [/^web: fleet.yaml was not looked at, git@example.com:a\/b.git is not on this machine/]);
});

t.test('secrets', async (t) => {
  const dir = t.testdir({
    open: 'x',
    app: { 'fleet.yaml': FLEET.replace('server.js]', 'server.js, "${MODE}"]') },
  });
  const text = `${GOOD.replace('values: { PORT: 80 }', 'values: { PORT: 80, MODE: { secret: mood } }')}secrets:
  mode: { file: ./open }
`;
  await writeFile(join(dir, 'controller.yaml'), text);
  await chmod(join(dir, 'open'), 0o644);
  const { problems } = await checkController(join(dir, 'controller.yaml'));
  t.match(
    problems.map(({ path, message }) => `${path}: ${message}`),
    [
      /values\.MODE\.secret: no such secret `mood`, did you mean `mode`\?$/,
      /^secrets\.mode\.file: .*may be read by others \(mode 644\): chmod 600/,
      /values\.MODE: is a secret, and stands in .* at run\.command\.2: anybody on the host can read it/,
    ],
  );
});
