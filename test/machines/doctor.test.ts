/** `fleet doctor` on a host as `fleet hosts add` leaves it: well, and then without one thing after the other that only systemd, sudo and a network have. */
import type { Finding } from '@fleet/protocol/finding.ts';
import t from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { VERSIONS } from '../../scripts/machines/segmenter.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const PROFILES = `profiles:
  web: { labels: { environment: production, role: segmenter } }
`;
const oneHost = (fleet: RealFleet) =>
  fleetConfig(fleet, PROFILES).replace('strategy: {', 'strategy: { min_visible: 0,');
const MINUTES = { timeout: 240_000 };
t.setTimeout(MINUTES.timeout);

t.test(
  'a host that is well, and what can be bad with it',
  { skip: skipWithoutMachines(), ...MINUTES },
  async (t) => {
    const fleet = await RealFleet.create({ hosts: ['web1'], config: oneHost });
    t.teardown(() => fleet.remove());
    await Promise.all([fleet.boot('web1'), fleet.startController()]);
    const web1 = fleet.machine('web1');
    const sh = (script: string) => web1.run(['sh', '-c', script]);
    const ssh = ['--key', fleet.sshKey, '--known-hosts', fleet.knownHosts];
    await fleet.well('hosts', 'add', '-p', 'web', `web1=${fleet.addressOf('web1')}`, ...ssh);
    await fleet.well('build', 'segmenter', '--ref', `v${VERSIONS.first}`);
    await fleet.well('deploy', 'segmenter', '--version', VERSIONS.first);

    const read = (findings: Finding[]) => ({
      of: (about: string) => findings.find((each) => each.about === about),
      bad: findings.filter(({ level }) => level === 'bad').map(({ about }) => about),
    });
    const look = async () => {
      const { stdout } = await fleet.run('doctor', 'web1', '--json');
      return read((JSON.parse(stdout) as { findings: Finding[] }).findings);
    };
    /** As a person does it who has copied what was printed. */
    const lookOnHost = (command: string) => {
      const ran = sh(`${command} --json`);
      return { ...read(JSON.parse(ran.stdout) as Finding[]), code: ran.code };
    };

    const well = await fleet.run('doctor', 'web1');
    t.equal(well.code, 0, well.stdout + well.stderr);
    t.comment(`\n${well.stdout}`);
    t.notMatch(well.stdout, /^(warn|bad)/m, 'a host that was just made has nothing to warn of');
    t.match(
      well.stdout,
      /^ok +rights +fleet may: commands as segmenter, restart fleet-segmenter.service; and nothing as root beyond/m,
    );
    t.match(well.stdout, /^ok +unit fleet-agent +enabled, active \(running\)/m);
    t.match(well.stdout, /^ok +balancer front +web1 of \S+ is visible/m);

    await t.test('units', MINUTES, async (t) => {
      sh('systemctl disable fleet-agent');
      const found = await look();
      t.strictSame(found.bad, ['unit fleet-agent']);
      t.match(found.of('unit fleet-agent'), {
        says: /does not come back after a reboot/,
        next: 'systemctl enable fleet-agent.service',
      });
      sh('systemctl enable fleet-agent');
      sh(
        'printf "[Service]\\nExecStart=/bin/false\\n" > /etc/systemd/system/fleet-worker.service; systemctl daemon-reload; systemctl start fleet-worker',
      );
      await waitUntil('it has failed', () => sh('systemctl is-failed fleet-worker').code === 0);
      const failed = await look();
      t.match(failed.of('unit fleet-worker'), {
        level: 'bad',
        says: /failed.*exit-code/,
        next: 'journalctl -u fleet-worker.service -n 50',
      });
      t.match(failed.of('rights'), {
        level: 'bad',
        says: /may not: systemctl restart fleet-worker\.service$/,
      });
      sh('rm /etc/systemd/system/fleet-worker.service; systemctl reset-failed; systemctl daemon-reload');
      sh('systemctl stop fleet-segmenter');
      await waitUntil('the balancer has seen it', async () => (await fleet.servers()).every(({ up }) => !up));
      const stopped = await look();
      t.match(stopped.of('service segmenter'), { level: 'bad', next: /fleet (deploy|logs) segmenter/ });
      t.match(stopped.of('balancer front'), { level: 'bad', says: /down/ });
      sh('systemctl start fleet-segmenter');
      await waitUntil('it is back', async () => (await fleet.servers()).every(({ up }) => up));
      t.strictSame((await look()).bad, []);
    });

    await t.test('rights', MINUTES, async (t) => {
      sh('mv /etc/sudoers.d/fleet /root/fleet');
      t.match((await look()).of('rights'), {
        level: 'bad',
        says: /fleet may not: commands as segmenter, systemctl restart fleet-segmenter/,
        next: /fleet hosts add again/,
      });
      sh('mv /root/fleet /etc/sudoers.d/fleet; echo "fleet ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/zz');
      t.match((await look()).of('rights'), { level: 'bad', says: /may do anything as root/ });
      sh('rm /etc/sudoers.d/zz; chown fleet /etc/fleet/agent.yaml');
      const owned = await look();
      t.match([owned.of('configuration'), owned.bad], [{ level: 'warn', next: /^chown root/ }, []]);
      sh('chown root /etc/fleet/agent.yaml');
    });

    await t.test('no link', MINUTES, async (t) => {
      sh('systemctl stop fleet-agent');
      await waitUntil('it is gone', async () => (await look()).bad.includes('link'));
      const gone = await look();
      const [, , command = ''] = (gone.of('link')?.next ?? '').split('; ');
      t.match(command, /^sudo -u fleet \/srv/);
      t.match(gone.of('machine'), { level: 'ok', says: /open on port 22/ });
      const stopped = lookOnHost(command);
      t.match([stopped.bad, stopped.code], [['unit fleet-agent'], 1]);
      sh('ip route add blackhole 10.77.0.1');
      const cut = lookOnHost(command);
      t.strictSame(cut.bad.sort(), ['port for agents', 'port for people', 'unit fleet-agent']);
      t.match(cut.of('port for people'), { says: /nothing comes back|EINVAL|ENETUNREACH/ });
      t.match((await look()).of('machine'), { level: 'bad', says: /nothing comes back/ });
      sh('ip route del blackhole 10.77.0.1; systemctl start fleet-agent');
      await waitUntil('it is well again', async () => (await look()).bad.length === 0);
    });
  },
);
