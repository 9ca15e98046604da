/** The machines that other tests stand on: they boot, reboot, lose their power, and are gone without a trace. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { tryCommand } from '../../scripts/machines/commands.ts';
import { sweepLeft } from '../../scripts/machines/leftovers.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const MACHINES = join(import.meta.dirname, '../../scripts/machines');

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

t.test(
  'what a run has left that was killed goes with the next one',
  { skip: skipWithoutMachines() },
  async (t) => {
    const script = `import { fleetConfig, RealFleet } from ${JSON.stringify(join(MACHINES, 'realFleet.ts'))};
    const fleet = await RealFleet.create({ hosts: ['web1'], config: fleetConfig });
    await fleet.boot('web1');
    process.kill(process.pid, 'SIGKILL');`;
    const argv = ['--input-type=module', '--eval', script];
    const { pid, signal, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    t.equal(signal, 'SIGKILL', stderr);
    const left = () => tryCommand('ip', 'netns', 'list').includes(`fleet-real-${pid}-`);
    t.ok(left() && cgroupsOf(`-${pid}`).length > 0, 'it has left something');
    sweepLeft('fleet-real-');
    t.notOk(left());
    t.same(cgroupsOf(`-${pid}`), []);
    t.same(
      readdirSync(tmpdir()).filter((name) => name.startsWith(`fleet-real-${pid}-`)),
      [],
    );
  },
);
