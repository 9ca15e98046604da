/**
 * The life of a fleet on real hosts: three bare ones are added and deployed to; in the middle of the next deployment one reboots
 * and another loses its power; a fourth is added while users ask.
 */
import { spawn } from 'node:child_process';
import type { Status } from '@fleet/protocol/api/fleet.ts';
import t from 'tap';
import { startLoad } from '../../scripts/local/load.ts';
import { waitUntil } from '../../scripts/local/program.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { VERSIONS } from '../../scripts/machines/segmenter.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

const PROFILES = `profiles:
  web:
    labels: { environment: production, role: segmenter }
`;
const THREE = ['web1', 'web2', 'web3'];

t.test('a fleet on booted hosts', { skip: skipWithoutMachines(), timeout: 600_000 }, async (t) => {
  const fleet = await RealFleet.create({
    hosts: [...THREE, 'web4'],
    inHaproxy: THREE,
    config: (fleet) => fleetConfig(fleet, PROFILES),
  });
  t.teardown(() => fleet.remove());
  await fleet.boot(...THREE);
  await fleet.startController();
  const named = (hosts: readonly string[]) => hosts.map((host) => `${host}=${fleet.addressOf(host)}`);
  const add = (...hosts: string[]) => [
    'hosts',
    'add',
    '-p',
    'web',
    ...named(hosts),
    '-P',
    '--key',
    fleet.sshKey,
  ];

  await t.test('three bare hosts are added side by side, and deployed to', async (t) => {
    const added = await fleet.run(...add(...THREE));
    t.equal(added.code, 0, added.stdout + added.stderr);
    for (const host of THREE) t.match(added.stdout, new RegExp(`^${host} +: ok=\\d+ .*failed=0`, 'm'));
    const deployed = await fleet.run('deploy', 'segmenter', '--serial');
    t.equal(deployed.code, 0, deployed.stdout + deployed.stderr);
    t.same(await visible(), THREE);
    t.same(await versions(), { web1: VERSIONS.first, web2: VERSIONS.first, web3: VERSIONS.first });
  });

  await t.test('a reboot and a power cut in the middle of a deployment', async (t) => {
    const shown = watchServers();
    const deploying = start('deploy', 'segmenter', '--ref', 'next', '--serial');
    await deploying.says('hide      web1');
    await fleet.machine('web1').reboot();
    await deploying.says('activate  web2');
    await fleet.machine('web2').cutPower();
    await fleet.machine('web2').boot();
    const { code, text } = await deploying.ended;
    t.equal(code, 0, text);
    t.same(await versions(), { web1: VERSIONS.second, web2: VERSIONS.second, web3: VERSIONS.second });
    t.same(await visible(), THREE);
    shown.stop();
    for (const host of ['web1', 'web2'])
      t.ok(
        text.indexOf(`smoke     ${host}`) < text.indexOf(`unhide    ${host}`),
        `${host}: smoke, then unhide`,
      );
    t.same(shown.hosts, THREE, 'each was shown once, in its turn');
  });

  await t.test('a power cut that lasts longer than a deployment waits', async (t) => {
    const deploying = start('deploy', 'segmenter', '--ref', `v${VERSIONS.third}`, '--serial');
    await deploying.says('hide      web3');
    await fleet.machine('web3').cutPower();
    const { code, text } = await deploying.ended;
    t.equal(code, 1, text);
    t.match(text, /^web3 +: .*unreachable=1/m);
    t.same(await visible(), ['web1', 'web2']);
    await fleet.machine('web3').boot();
    await waitUntil('it is shown again', async () => (await visible()).length === 3, undefined, 120_000);
    t.same(await versions(), { web1: VERSIONS.third, web2: VERSIONS.third, web3: VERSIONS.third });
  });

  await t.test('a fourth is added while users ask', async (t) => {
    const load = startLoad('http://segmenter/', { socketPath: fleet.users });
    t.teardown(() => load.stop());
    await fleet.boot('web4');
    const added = await fleet.run(...add('web4'));
    t.equal(added.code, 0, added.stdout + added.stderr);
    await waitUntil('it takes part', async () => (await visible()).includes('web4'), undefined, 120_000);
    const before = load.sent;
    await waitUntil('more requests', () => load.sent > before + 400);
    await load.stop();
    t.equal(load.failed, 0, `${load.sent} requests: ${load.failures.join(', ')}`);
    t.equal((await versions()).web4, VERSIONS.third);
  });

  async function visible(): Promise<string[]> {
    return (await fleet.servers())
      .filter(({ admin, up }) => admin === 'ready' && up)
      .map(({ name }) => name)
      .sort();
  }
  /** By the agents' own reports, asked now. */
  async function versions(): Promise<Record<string, string | null>> {
    const { services } = JSON.parse((await fleet.well('status', '--json')).stdout) as Status;
    return Object.fromEntries(
      services.flatMap(({ hosts }) => hosts.map(({ host, running }) => [host, running])),
    );
  }
  /** Hosts in the order in which HAProxy began to show them. */
  function watchServers() {
    const hosts: string[] = [];
    let before = new Set<string>(THREE);
    let looking = Promise.resolve();
    const timer = setInterval(() => {
      looking = looking.then(async () => {
        const ready = new Set(
          (await fleet.servers()).filter(({ admin }) => admin === 'ready').map(({ name }) => name),
        );
        for (const host of ready) if (!before.has(host)) hosts.push(host);
        before = ready;
      });
    }, 100);
    return { hosts, stop: () => clearInterval(timer) };
  }
  function start(...argv: string[]) {
    const {
      argv: [program = '', ...rest],
      env,
      cwd,
    } = fleet.command(...argv);
    const child = spawn(program, rest, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (more: string) => {
        text += more;
      });
    const ended = new Promise<{ code: number | null; text: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, text })),
    );
    return {
      ended,
      says: (what: string) =>
        waitUntil(
          what,
          () => {
            if (text.includes(what)) return true;
            if (child.exitCode !== null) throw new Error(`it ended without ${what}:\n${text}`);
            return false;
          },
          undefined,
          180_000,
        ),
    };
  }
});
