/** The machines that other tests stand on: they boot, reboot, lose their power, and are gone without a trace. */
import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { tryCommand } from '../../scripts/machines/commands.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

t.test('three hosts, a controller outside', { skip: skipWithoutMachines(), timeout: 240_000 }, async (t) => {
  const fleet = await RealFleet.create({ hosts: ['web1', 'web2', 'web3'], config: fleetConfig });
  t.teardown(() => fleet.remove());
  await fleet.boot('web1', 'web2', 'web3');
  await fleet.startController();
  t.same(JSON.parse((await fleet.well('hosts', '--json')).stdout), [], 'no host has an agent');
  const servers = (await fleet.servers()).map(({ name }) => name);
  t.same(servers, ['web1', 'web2', 'web3'], 'HAProxy has them');
  const web1 = fleet.machine('web1');
  const bootId = () => web1.run(['cat', '/proc/sys/kernel/random/boot_id']).stdout;
  t.match(web1.run(['systemctl', 'is-active', 'ssh']).stdout, /^active/, 'sshd runs');
  web1.run(['sh', '-c', 'echo kept > /var/kept']);
  const first = bootId();
  await web1.reboot();
  t.equal(web1.run(['cat', '/var/kept']).stdout, 'kept\n', 'its disk is the same after a reboot');
  const second = bootId();
  t.not(first, second, 'a reboot is another boot, as agents tell by its id');
  await web1.cutPower();
  t.equal(web1.run(['true']).code, null, 'it is off');
  await web1.boot();
  t.equal(web1.run(['cat', '/var/kept']).stdout, 'kept\n', 'its disk is the same after its power was cut');
  t.not(bootId(), second);

  await fleet.remove();
  t.notOk(existsSync(fleet.dir));
  t.notMatch(tryCommand('ip', 'netns', 'list'), `fleet-real-${process.pid}`);
  t.same(cgroupsOf(`-${process.pid}`), []);
});

function cgroupsOf(ending: string): string[] {
  return readdirSync('/sys/fs/cgroup').flatMap((hierarchy) => {
    try {
      return readdirSync(`/sys/fs/cgroup/${hierarchy}`).filter((name) => name.endsWith(ending));
    } catch {
      return [];
    }
  });
}
