/** What is done to a controller's machine, from what is there: values alone. */

import { buildSudoers } from '@fleet/units/buildSudoers.ts';
import { CONTROLLER_UNIT, controllerUnit } from '@fleet/units/controllerUnit.ts';
import t from 'tap';
import type { Facts } from './facts.ts';
import { BACKUPS, CONFIG, DATA, USER } from './places.ts';
import { plan, planRemoval, type Wanted } from './plan.ts';

const RELEASE = '0.1.0-0123456789ab';
const wanted: Wanted = {
  file: CONFIG,
  template: 'services: {}\n',
  source: { kind: 'bundle', folder: '/opt/fleet', release: `/usr/local/lib/fleet-controller/${RELEASE}` },
  operator: { name: 'ann', user: 'ann' },
};
const command = ['/usr/local/lib/fleet-controller/current/fleet', 'controller', '--config', CONFIG];
const bare: Facts = {
  ...{ user: false, groups: [], config: undefined, keys: false, owned: false, backups: false },
  ...{ builder: false, rooms: undefined, rule: undefined },
  ...{ socketGroups: [], current: undefined, releases: [], command: undefined, unit: undefined },
  ...{ enabled: false, active: false },
};
const installed: Facts = {
  ...{ user: true, groups: [USER], keys: true, owned: true, backups: true, socketGroups: [] },
  ...{ builder: true, rooms: `fleet-build:${USER} 710`, rule: buildSudoers(USER, 'fleet-build') },
  config: { data: DATA, listen: '0.0.0.0:7300', development: false, sockets: [] },
  ...{ current: RELEASE, releases: [RELEASE], command: '/usr/local/lib/fleet-controller/current/fleet' },
  unit: controllerUnit({ command, user: USER, writes: [DATA, BACKUPS, `${DATA}.builds`] }),
  ...{ enabled: true, active: true },
};
const says = (facts: Facts, more: Partial<Wanted> = {}) =>
  plan(facts, { ...wanted, ...more }).map((act) => act.says.split(' ').slice(0, 2).join(' '));

t.test('from nothing, and from all of it', async (t) => {
  t.strictSame(says(bare), [
    ...['make the', `write ${CONFIG},`, `put ${RELEASE}`, 'current is', 'link /usr/local/bin/fleet'],
    ...['make the', `make ${DATA}.builds,`, 'write /etc/sudoers.d/fleet-controller:'],
    ...[`make ${DATA},`, `make ${BACKUPS},`, 'make the', `give ${DATA}`],
    ...[
      'write /etc/systemd/system/fleet-controller.service',
      `enable ${CONTROLLER_UNIT}`,
      `start ${CONTROLLER_UNIT}`,
    ],
  ]);
  t.strictSame(says(installed), []);
  t.strictSame(planRemoval(bare), []);
});

t.test('what differs is put right, and the controller started anew', async (t) => {
  const restart = `restart ${CONTROLLER_UNIT}`;
  t.strictSame(says({ ...installed, owned: false }), [`give ${DATA}`, restart]);
  t.strictSame(says({ ...installed, socketGroups: ['haproxy'] }), [`add ${USER}`, restart]);
  t.strictSame(says({ ...installed, active: false }), [`start ${CONTROLLER_UNIT}`]);
  const older = { ...installed, current: '0.0.9-x', releases: ['0.0.7-x', '0.0.8-x', '0.0.9-x'] };
  const acts = plan(older, wanted);
  t.match(
    acts.map((act) => act.says),
    [/^put/, /^current is/, 'remove 0.0.7-x, 0.0.8-x', /^restart/],
  );
});

t.test('builds have a user of their own, or the one that is configured', async (t) => {
  const restart = `restart ${CONTROLLER_UNIT}`;
  t.strictSame(says({ ...installed, rule: 'anything else' }), [
    'change /etc/sudoers.d/fleet-controller:',
    restart,
  ]);
  t.strictSame(says({ ...installed, rooms: `root:${USER} 710` }), [`make ${DATA}.builds,`, restart]);
  const config = { ...installed.config!, builder: 'ci' };
  const acts = plan({ ...installed, config }, wanted);
  t.match(acts.map((act) => act.says)[1], /^change .*runs builds as ci, and nothing as root/);
  t.notOk(
    planRemoval({ ...installed, config }).some((act) => /user/.test(act.says)),
    'ci is not fleet’s',
  );
  t.ok(planRemoval(installed).some((act) => act.says === 'remove the user fleet-build'));
  const oneself = { ...bare, config: { ...config, builder: USER } };
  t.notOk(plan(oneself, wanted).some((act) => /build|sudo/.test(act.says)));
  t.ok(says({ ...installed, config: oneself.config }).includes('remove /etc/sudoers.d/fleet-controller'));
  t.throws(() => plan({ ...installed, config: { ...config, builder: 'root' } }, wanted), /no rule is made/);
});

t.test('a checkout stays where it is; somebody’s own fleet does, too', async (t) => {
  const source = {
    kind: 'checkout',
    command: ['/usr/bin/node', '/src/fleet/packages/cli/bin/fleet.js'],
  } as const;
  const acts = plan(bare, { ...wanted, source: { ...source, command: [...source.command] } });
  t.notOk(acts.some((act) => /^(put|link|current)/.test(act.says)));
  t.ok(
    acts.some(({ stdin }) =>
      stdin?.includes('ExecStart=/usr/bin/node /src/fleet/packages/cli/bin/fleet.js controller'),
    ),
  );
  t.notOk(says({ ...bare, command: 'a program of its own' }).includes('link /usr/local/bin/fleet'));
});

t.test('no name is read as code', async (t) => {
  for (const act of plan(bare, { ...wanted, file: '/etc/other/controller.yaml' }))
    t.notMatch(act.script, '/etc/');
  for (const path of ['/opt/my fleet/fleet', '/opt/%h/fleet', '/opt/fleet\n[Service]'])
    t.throws(() => controllerUnit({ command: [path], user: USER, writes: [] }), { code: 'bad_config' });
});
