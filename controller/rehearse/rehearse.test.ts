/** The course of a rehearsal without a machine; what differs; the units of the timer. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openChannel } from '@fleet/cli/print/channel.ts';
import type { RehearsalReport } from '@fleet/protocol/api/rehearsals.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { Course } from './course.ts';
import { differences } from './differences.ts';
import { rehearse } from './rehearse.ts';
import { unitsFor } from './schedule.ts';

const STOPPED = new AbortController().signal;
const SILENT = openChannel({ write: () => {} }, {});

/** A client that nobody answers, and a command that says what it was asked in a file. */
function rehearsal(t: Test, up: string, stopped = STOPPED) {
  const dir = t.testdir({ 'throw-away': `echo "$1" >> "$0.asked"\n[ "$1" = down ] || { ${up}; }\n` });
  const course = new Course({ began() {}, ended() {} });
  const silent = {
    controller: 'https://nowhere.invalid',
    call: () => Promise.reject(new FleetError('controller_unreachable', 'nobody answers')),
  };
  const client = silent as unknown as Parameters<typeof rehearse>[0]['client'];
  const lender = { command: `sh ${join(dir, 'throw-away')}`, name: 'r', tell() {} };
  return {
    course,
    asked: () => readFileSync(join(dir, 'throw-away.asked'), 'utf8').trim().split('\n'),
    run: () =>
      rehearse({
        ...{ profile: 'web', name: 'r', words: [], upMs: 10_000, lender, course, dir, stopped },
        ...{ client, lasting: client, channel: SILENT },
      }),
  };
}

const phasesOf = ({ phases }: RehearsalReport) => phases.map(({ name, outcome }) => `${name} ${outcome}`);

t.test('whatever fails, the machine is given back', async (t) => {
  const unlent = rehearsal(t, 'exit 1');
  const none = await unlent.run();
  t.strictSame(phasesOf(none), ['up failed', 'provision skipped', 'look skipped', 'down ok']);
  t.strictSame([none.succeeded, unlent.asked()], [false, ['up', 'down']]);

  // Lent, and then nobody answers: neither the machine nor the controller.
  const lost = rehearsal(t, `echo address=127.0.0.1; echo fingerprint=SHA256:${'A'.repeat(43)}`);
  const report = await lost.run();
  t.strictSame(phasesOf(report), [
    ...['up ok', 'provision failed', 'look skipped', 'remove failed', 'down ok'],
  ]);
  t.strictSame([report.succeeded, lost.asked()], [false, ['up', 'down']]);

  const stop = new AbortController();
  stop.abort();
  const stopped = rehearsal(t, 'sleep 60', stop.signal);
  t.strictSame(phasesOf(await stopped.run()).at(-1), 'down ok');
});

const FACTS = {
  ...{ agent: '0.1.0', node: '24.1.0', protocol: { min: 1, max: 1 }, platform: 'linux-x64' },
  ...{ kernel: '6.1', distribution: 'Debian', libc: 'glibc 2.36' },
};
const reportWith = (more: Partial<RehearsalReport>): RehearsalReport => ({
  ...{ succeeded: true, phases: [], facts: { ...FACTS, packages: {} }, findings: [], services: [] },
  ...more,
});

t.test('what differs', async (t) => {
  const phase = (ms: number, outcome: 'ok' | 'failed' = 'ok') => [
    { name: 'provision', outcome, ms, message: null },
  ];
  const service = (version: string) => [
    { service: 'web', environment: 'production', version, deployment: 1, succeeded: true },
  ];
  const before = reportWith({
    phases: phase(10_000),
    services: service('1.0.0'),
    facts: { ...FACTS, packages: { libc6: '2.36-9', gone: '1', same: '1' } },
  });
  t.strictSame(differences(before, before), []);
  const now = reportWith({
    phases: phase(16_000),
    services: service('1.1.0'),
    facts: { ...FACTS, kernel: '6.2', packages: { libc6: '2.36-10', same: '1', added: '3' } },
  });
  t.strictSame(differences(before, now), [
    'kernel 6.2, was 6.1',
    'web 1.1.0, was 1.0.0',
    'package added 3 is new',
    'package gone 1 is gone',
    'package libc6 2.36-10, was 2.36-9',
    'provision took 16s, was 10s',
  ]);
  t.strictSame(
    differences(before, reportWith({ phases: phase(14_000), services: service('1.0.0'), facts: null })),
    [],
  );
  t.strictSame(differences(before, reportWith({ phases: phase(60_000, 'failed'), facts: null })), []);
});

t.test('a timer and its service', async (t) => {
  const odd = `./throw away --say "50 % of $HOME\\"`;
  const { service, timer } = unitsFor({
    ...{ profile: 'web', at: '03:00', user: 'ann', login: '/home/ann/.config/fleet/login.json' },
    ...{ argv: ['/bin/echo', 'rehearse', 'web', '--on', odd], onFailure: 'alarm.service', directory: '/tmp' },
  });
  t.match(service, /^OnFailure=alarm\.service$/m);
  t.match(service, /^ExecStart=\/bin\/echo rehearse web --on ".*50 %% of \$\$HOME/m);
  t.match(timer, /^OnCalendar=\*-\*-\* 03:00:00$/m);
  if (!existsSync('/usr/bin/systemd-analyze')) return;
  const dir = t.testdir({});
  const file = join(dir, 'fleet-rehearse-web.service');
  writeFileSync(file, service.replace('OnFailure=alarm.service\n', '').replace('User=ann\n', ''));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  t.throws(() =>
    unitsFor({
      profile: 'web',
      at: '03:00',
      user: 'a',
      login: 'x\ny',
      argv: [],
      onFailure: undefined,
      directory: '/',
    }),
  );
});
