import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { buildSudoers } from './buildSudoers.ts';
import { serviceUnit, unitOf } from './serviceUnit.ts';
import { sudoers } from './sudoers.ts';

const VISUDO = ['/usr/sbin/visudo', '/usr/bin/visudo'].find(existsSync);
const RIGHTS = {
  users: ['segmenter', 'cubed_api', 'www-data'],
  units: [unitOf('segmenter'), unitOf('cubed-api.v2'), 'team@1.service'],
  programs: ['worker'],
};

t.test('the rules are exactly these', async (t) => {
  const lines = sudoers({ users: ['segmenter'], units: [unitOf('segmenter')] })
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  t.strictSame(lines, [
    'Defaults:fleet !use_pty, !requiretty, !pam_session, !pam_setcred, !log_input, !log_output, !lecture',
    'Defaults>segmenter !secure_path, !env_delete, !env_check',
    'fleet ALL=(root) NOPASSWD: /usr/bin/systemctl start fleet-segmenter.service',
    'fleet ALL=(root) NOPASSWD: /usr/bin/systemctl stop fleet-segmenter.service',
    'fleet ALL=(root) NOPASSWD: /usr/bin/systemctl restart fleet-segmenter.service',
    'fleet ALL=(segmenter) NOPASSWD:SETENV: ALL',
  ]);
});

t.test('the rule of a controller is for its builds alone', async (t) => {
  const text = buildSudoers('fleet-controller', 'fleet-build');
  const rules = text.split('\n').filter((line) => line !== '' && !/^(#|Defaults)/.test(line));
  t.strictSame(rules, ['fleet-controller ALL=(fleet-build) NOPASSWD:SETENV: ALL']);
  for (const name of ['root', 'ALL', '#0', 'a,b', 'a\nb']) {
    t.throws(() => buildSudoers('fleet-controller', name), name);
    t.throws(() => buildSudoers(name, 'fleet-build'), name);
  }
});

t.test('sudo finds them well', { skip: VISUDO === undefined && 'needs visudo' }, async (t) => {
  const file = join(t.testdir(), 'fleet');
  writeFileSync(file, sudoers(RIGHTS), { mode: 0o440 });
  const { status, stderr } = spawnSync(VISUDO!, ['-c', '-f', file], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  writeFileSync(`${file}3`, buildSudoers('fleet-controller', 'fleet-build'), { mode: 0o440 });
  t.equal(spawnSync(VISUDO!, ['-c', '-f', `${file}3`]).status, 0);
  writeFileSync(`${file}2`, sudoers(RIGHTS).replace('(segmenter)', '(segmenter'), { mode: 0o440 });
  t.not(spawnSync(VISUDO!, ['-c', '-f', `${file}2`]).status, 0, 'and sees what is not');
});

t.test('no name says more than itself', async (t) => {
  for (const user of [
    'root',
    'fleet',
    'ALL',
    'WEB',
    '#0',
    '%sudo',
    'a,b',
    'a) NOPASSWD: ALL',
    'a\nb',
    '!a',
    'u$',
  ])
    t.throws(() => sudoers({ users: [user], units: [] }), user);
  for (const unit of [
    'fleet-agent.service',
    'fleet-*.service',
    'ssh',
    'a b.service',
    'a,b.service',
    '-a.service',
  ])
    t.throws(() => sudoers({ users: [], units: [unit] }), unit);
  for (const program of ['all', 'a:*', 'a *', ''])
    t.throws(() => sudoers({ users: [], units: [], programs: [program] }), program);
  t.throws(() => unitOf('agent'), 'the agent’s own unit is no service’s');
  for (const user of ['a b', 'a%h', 'a\nExecStart=/bin/sh'])
    t.throws(() => serviceUnit({ service: 'web', user, root: '/srv/fleet' }), user);
});
