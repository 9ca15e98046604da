/** `fleet rehearse`: a profile from nothing on machines that are borrowed; well, with a service that does not come up, and with none lent. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { RehearsalRow, RehearsalShown } from '@fleet/protocol/api/rehearsals.ts';
import t from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { VERSIONS } from '../../scripts/machines/segmenter.ts';
import { openLender } from '../fixtures/lender.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const PROFILES = `profiles:
  web: { labels: { environment: production, role: segmenter } }
`;
const LENT = ['lent1', 'lent2', 'lent3', 'lent4'];
t.setTimeout(280_000);

t.test('a profile is rehearsed', { skip: skipWithoutMachines(), timeout: 280_000 }, async (t) => {
  const fleet = await RealFleet.create({ hosts: LENT, config: (each) => fleetConfig(each, PROFILES) });
  t.teardown(() => fleet.remove());
  const lender = await openLender(fleet, LENT);
  t.teardown(() => lender.close());
  await fleet.startController();
  await fleet.well('build', 'segmenter', '--ref', `v${VERSIONS.first}`);
  const rehearse = (...argv: string[]) => fleet.run('rehearse', 'web', '--on', lender.command, ...argv);
  const list = async () => JSON.parse((await fleet.well('rehearsals', '--json')).stdout) as RehearsalRow[];
  const show = async (id: number) =>
    JSON.parse((await fleet.well('rehearsals', String(id), '--json')).stdout) as RehearsalShown;
  const outcomes = ({ report }: RehearsalShown) =>
    report?.phases.map(({ name, outcome }) => `${name} ${outcome}`);
  /** No host, no identity that lives, no machine that runs. */
  const nothingLeft = async () => {
    t.same(JSON.parse((await fleet.well('hosts', '--json')).stdout), []);
    const joined = JSON.parse((await fleet.well('hosts', 'joined', '--json')).stdout) as Array<{
      state: string;
    }>;
    t.notOk(joined.some(({ state }) => state === 'active' || state === 'waiting'));
    t.same(JSON.parse((await fleet.well('token', 'list', '--json')).stdout).filter(isOpen), []);
    for (const machine of fleet.machines.values()) t.equal(machine.run(['true']).code, null, 'it is off');
    const [up, down] = lender.asked.slice(-2);
    t.equal(down, up?.replace('up', 'down'), 'what was lent is given back');
  };

  await t.test('well', async (t) => {
    const ran = await rehearse();
    t.equal(ran.code, 0, ran.stdout + ran.stderr);
    t.match(
      ran.stdout,
      /\| up rehearsal-web-\d{14}\n[\s\S]*smoke[\s\S]*RECAP rehearsal 1 of web, [\d.ms]+: succeeded\n/,
    );
    const shown = await show(1);
    t.match(shown, { profile: 'web', succeeded: true, host: /^rehearsal-web-\d{14}$/ });
    t.strictSame(outcomes(shown), [
      ...['up ok', 'provision ok', 'ask what it is for ok', 'deploy segmenter ok', 'look ok'],
      ...['remove ok', 'down ok'],
    ]);
    t.match(shown.report?.services, [{ service: 'segmenter', version: VERSIONS.first, succeeded: true }]);
    t.match(shown.report?.facts, { distribution: /Debian/, libc: /glibc/, packages: { systemd: /\d/ } });
    t.comment(shown.report?.phases.map(({ name, ms }) => `${name} ${ms} ms`).join(', '));
    t.same(
      (await fleet.servers()).map(({ admin }) => admin),
      LENT.map(() => 'ready'),
      'the balancer was told nothing',
    );
    await nothingLeft();
    const events = await fleet.well('rehearsals');
    t.match(events.stdout, /^1 +2.* web +succeeded/);
  });

  await t.test('a service that does not come up', async (t) => {
    await fleet.well('build', 'segmenter', '--ref', `v${VERSIONS.broken}`);
    const ran = await rehearse();
    t.equal(ran.code, 1, ran.stdout + ran.stderr);
    t.match(
      ran.stdout,
      /failed deploy segmenter after[\s\S]*what differs from rehearsal 1, [\s\S]*segmenter 1\.3\.0, was 1\.0\.0/,
    );
    t.match(
      ran.stdout,
      /next: fleet recap 2; then fleet rehearse web again\n.*RECAP rehearsal 2 of web, .*failed/,
    );
    const shown = await show(2);
    t.strictSame(outcomes(shown)?.slice(3), [
      'deploy segmenter failed',
      'look skipped',
      'remove ok',
      'down ok',
    ]);
    t.match((await list())[0], { id: 2, succeeded: false });
    await nothingLeft();
  });

  await t.test('no machine is lent', async (t) => {
    lender.before = async () => {
      throw new Error('the cloud has no room');
    };
    const ran = await rehearse();
    t.equal(ran.code, 1, ran.stdout + ran.stderr);
    t.match(ran.stdout, /the cloud has no room[\s\S]*failed up after[\s\S]*next: try it by hand: /);
    t.strictSame(outcomes(await show(3)), [...['up failed', 'provision skipped', 'look skipped', 'down ok']]);
    await nothingLeft();
  });

  await t.test('stopped in the middle', async (t) => {
    lender.before = async () => {};
    const { argv, env, cwd } = fleet.command('rehearse', 'web', '--on', lender.command);
    const child = spawn(argv[0]!, argv.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const ended = once(child, 'close');
    await waitUntil('it provisions', () => said.includes('reached'));
    child.kill('SIGINT');
    const [code] = (await ended) as [number | null];
    t.equal(code, 130, said);
    t.match(said, /RECAP rehearsal 4 of web.*failed/);
    await nothingLeft();
  });

  await t.test('nightly, by a timer', async (t) => {
    const units = await rehearse('--nightly', '03:00', '--on-failure', 'alarm.service', '--print');
    t.equal(units.code, 0, units.stderr);
    const [service = '', timer = ''] = units.stdout.split(/^# \/etc\/systemd\/system\/.*\n/m).slice(1);
    t.match(service, /^OnFailure=alarm\.service$/m);
    t.match(timer, /^OnCalendar=\*-\*-\* 03:00:00$/m);
    await fleet.boot('lent4');
    const box = fleet.machine('lent4');
    for (const [name, text] of Object.entries({ service, timer }))
      box.run(['sh', '-c', `cat > /etc/systemd/system/fleet-rehearse-web.${name}`], text);
    box.run(['sh', '-c', 'printf "[Service]\\nExecStart=/bin/true\\n" > /etc/systemd/system/alarm.service']);
    const verified = box.run(['systemd-analyze', 'verify', 'fleet-rehearse-web.timer']);
    t.equal(verified.code, 0, verified.stderr);
    t.equal(box.run(['systemctl', 'enable', '--now', 'fleet-rehearse-web.timer']).code, 0);
    t.match(
      box.run(['systemctl', 'list-timers', '--no-pager']).stdout,
      /03:00:00.*fleet-rehearse-web\.service/,
    );
    // What it starts is not there: the service fails, and that is the alarm.
    box.run(['systemctl', 'start', 'fleet-rehearse-web.service']);
    const alarmed = () =>
      box.run(['systemctl', 'show', '-P', 'ExecMainStartTimestamp', 'alarm.service']).stdout;
    await waitUntil('the alarm was raised', () => alarmed().trim() !== '');
  });
});

function isOpen(token: { used: number; uses: number; revokedAt: string | null }): boolean {
  return token.revokedAt === null && token.used < token.uses;
}
