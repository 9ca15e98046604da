import { userInfo } from 'node:os';
import { type PolicyConfig, policyConfig } from '@fleet/config/agent.ts';
import { fits } from '@fleet/protocol/policy.ts';
import { service as sealedService } from '@fleet/protocol/service.ts';
import t from 'tap';
import { createPolicy } from './policy.ts';

const root = userInfo().uid === 0;
const ROOT_ONLY = root ? false : 'only root runs programs as other users';

const policyOf = (config: unknown, joined = true, byUnit = false) =>
  createPolicy({
    ...{ host: 'web-1', root: '/srv/fleet', joined, byUnit, file: '/etc/fleet/agent.yaml' },
    config: policyConfig.parse(config) as PolicyConfig,
  });

t.test('patterns', async (t) => {
  for (const [pattern, name, expected] of [
    ['*', 'anything', true],
    ['web', 'web', true],
    ['web', 'web2', false],
    ['cubed-*', 'cubed-api', true],
    ['cubed-*', 'my-cubed-api', false],
    ['*-api', 'cubed-api', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['w.b', 'web', false],
  ] as const)
    t.equal(fits([pattern], name), expected, `${pattern} and ${name}`);
  t.notOk(fits([], 'web'));
});

t.test('a service that is not named is refused, with the line that would allow it', async (t) => {
  const policy = policyOf({ services: ['cubed-*', 'web'], run_as: { '*': 'self' } });
  await policy.admit('web');
  await policy.admit('cubed-api');
  await t.rejects(policy.admit('other'), {
    code: 'policy_refused',
    message: 'web-1 does not take other: its /etc/fleet/agent.yaml allows cubed-*, web',
    next: /write `services: \["cubed-\*", "web", "other"\]` below `policy` in \/etc\/fleet\/agent\.yaml on web-1/,
    data: { host: 'web-1' },
  });
  await t.rejects(policyOf({ services: [] }).admit('web'), { message: /allows no service$/ });
});

t.test('a host that has joined runs nothing as its agent unless that is written', async (t) => {
  const silent = policyOf({});
  await t.rejects(silent.admit('web'), {
    code: 'policy_refused',
    message: /web-1 does not run web: its .* does not say as which user/,
    next: /`run_as: \{ web: USER \}`/,
  });
  t.equal(await policyOf({}, false).userOf('web'), undefined, 'development has no such rule');
  for (const run_as of [{ '*': 'self' }, { web: 'self' }, { web: userInfo().username }])
    t.equal(await policyOf({ run_as }).userOf('web'), undefined, JSON.stringify(run_as));
  await t.rejects(policyOf({ run_as: { web: 'self' } }).admit('constructor'), { code: 'policy_refused' });
});

t.test('another user', { skip: ROOT_ONLY }, async (t) => {
  const policy = policyOf({ run_as: { web: 'nobody', '*': 'nobody-of-this-name', zero: 'root' } });
  t.match(await policy.userOf('web'), { name: 'nobody', uid: Number, gid: Number, home: String });
  await t.rejects(policy.admit('other'), {
    code: 'policy_refused',
    message: /web-1 has no user nobody-of-this-name/,
    next: /useradd/,
  });
  t.equal(await policy.userOf('zero'), undefined, 'root is the agent’s own user here');
});

t.test('where the agent is what its unit has started, nothing runs as its own user', async (t) => {
  for (const run_as of [{ '*': 'self' }, { web: userInfo().username }])
    await t.rejects(policyOf({ run_as }, true, true).admit('web'), {
      code: 'policy_refused',
      message: /web-1 does not run web as .*: that is its agent’s own user/,
      next: /`run_as: \{ web: USER \}`/,
    });
  t.equal(await policyOf({}, true, true).userOf('fleet-node'), undefined, 'but fleet’s own programs');
});

t.test('without root, another user is refused by name', { skip: root && 'this runs as root' }, async (t) => {
  await t.rejects(policyOf({ run_as: { '*': 'nobody' } }).admit('web'), {
    code: 'policy_refused',
    message: /cannot run web as nobody: its agent runs as .*, and there is no rule of sudo for that/,
    next: /fleet hosts add -p PROFILE web-1 .*ALL=\(nobody\) NOPASSWD:SETENV: ALL/,
  });
});

t.test('hooks as root', { skip: ROOT_ONLY }, async (t) => {
  const sealed = (more: object) =>
    sealedService.parse({ service: 'web', run: { supervisor: 'process', command: ['web'] }, ...more });
  const hooked = sealed({ hooks: { before_start: { command: ['true'] } } });
  const once = sealed({ once: [{ name: 'migrate', command: ['true'] }] });
  const checked = sealed({ smoke: [{ name: 'look', kind: 'command', command: ['true'] }] });
  const self = policyOf({ run_as: { '*': 'self' } });
  for (const [service, named] of [
    [hooked, 'before_start'],
    [once, 'migrate'],
    [checked, 'look'],
  ] as const)
    await t.rejects(self.admitHooks(service), {
      code: 'policy_refused',
      message: `web-1 does not run ${named} of web as root`,
      next: /root_hooks: true/,
    });
  await self.admitHooks(sealed({ smoke: [{ name: 'answers', kind: 'http', port: 80 }] }));
  await policyOf({ run_as: { '*': 'self' }, root_hooks: true }).admitHooks(hooked);
  await policyOf({ run_as: { '*': 'nobody' } }).admitHooks(hooked);
  await policyOf({}, false).admitHooks(hooked);
  await t.rejects(policyOf({ root_hooks: false }, false).admitHooks(hooked), { code: 'policy_refused' });
});

t.test('labels', async (t) => {
  const policy = policyOf({ labels: { role: ['web', 'api'], environment: ['stag*'], port: [8080] } });
  policy.admitLabels({ role: 'api', environment: 'staging', port: '8080', rack: 'any' });
  t.throws(() => policy.admitLabels({ environment: 'production' }), {
    code: 'policy_refused',
    message: /web-1 does not take the label environment=production: its .* allows stag\*/,
    next: /`labels: \{ environment: \["stag\*", "production"\] \}`/,
  });
});

t.test('the agent itself may be replaced, unless the host says no', async (t) => {
  const strict = { services: ['web'], run_as: { web: 'nobody' } };
  for (const own of ['fleet-agent', 'fleet-node']) {
    await policyOf(strict).admit(own);
    await t.rejects(policyOf({ ...strict, upgrades: false }).admit(own), {
      code: 'policy_refused',
      message: /web-1 does not let its agent be replaced/,
      next: /`upgrades: true` below `policy`/,
    });
  }
});
