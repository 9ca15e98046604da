/** Into all the right places: hosts that join, are out, die and come back, behind a real HAProxy, with users at it all the time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostShown, Status } from '@fleet/protocol/api/fleet.ts';
import t from 'tap';
import { askHaproxy } from '../../packages/balancers/haproxy/socket.ts';
import { skipWithoutHaproxy, startHaproxy } from '../../packages/balancers/haproxy.fixture.ts';
import { startLoad } from '../../scripts/local/load.ts';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { waitUntil } from '../../scripts/local/program.ts';
import { makeRepository } from '../../scripts/local/repository.ts';

const skip = skipWithoutHaproxy();
const NAMES = ['web-1', 'web-2', 'web-3'] as const;
type Name = (typeof NAMES)[number];

t.setTimeout(300_000);

t.test('a host joins under load, is out, is back after days, and is removed', { skip }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-place-'));
  const [first = 0, second = 0, third = 0] = await freePorts(3);
  const ports = { 'web-1': first, 'web-2': second, 'web-3': third };
  makeRepository(join(dir, 'segmenter'));
  const haproxy = await startHaproxy({
    dir,
    // The third one is not among them.
    backends: [
      { name: 'web', servers: (['web-1', 'web-2'] as const).map((name) => ({ name, port: ports[name] })) },
    ],
  });
  const hosts = NAMES.map((host) => ({ host, labels: { role: 'segmenter', port: ports[host] } }));
  const fleet = await LocalFleet.create({
    dir,
    secure: true,
    hosts,
    config: `data: ./data
services:
  segmenter: { source: { git: ./segmenter, ref: main } }
balancers:
  front: { kind: haproxy, address: ${haproxy.socket} }
environments:
  production:
    services:
      segmenter:
        hosts: { role: segmenter }
        balancer:
          name: front
          backend: web
          address: 127.0.0.1:{label.port}
          options: check inter 200ms fall 2 rise 1
        strategy: { settle: 500ms, min_visible: 1, patience: 3s, drain: 5s }
        values:
          PORT: { label: port }
          DATABASE: ${join(dir, 'visitors.sqlite')}
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    await haproxy.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const service = async () => ((await fleet.get('/api/status')) as Status).services[0]!;
  const visible = async () =>
    (await service()).hosts
      .filter(({ balancer, running }) => balancer === 'visible' && running !== null)
      .map(({ host, running }) => `${host} ${running}`);
  const becomes = (...expected: string[]) =>
    waitUntil(
      `${expected.join(', ')} are visible`,
      async () => String(await visible()) === String(expected) && (await service()).running === null,
      fleet.controller,
    );
  const url = `http://127.0.0.1:${haproxy.port}`;
  /** The hosts that answer. */
  const answering = async () => {
    const seen = new Set<number>();
    for (let n = 0; n < 20; n++) seen.add(((await (await fetch(url)).json()) as { port: number }).port);
    return NAMES.filter((name) => seen.has(ports[name]));
  };

  await fleet.well(['init', 'controller']);
  await fleet.startController();
  const joining = async (name: Name) => {
    await fleet.join(hosts.find(({ host }) => host === name)!);
    await fleet.startAgent(name);
  };
  await joining('web-1');
  await joining('web-2');
  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.0.0']);
  const load = startLoad(url);
  t.teardown(() => load.stop());

  const began = performance.now();
  await joining('web-3');
  await becomes('web-1 1.0.0', 'web-2 1.0.0', 'web-3 1.0.0');
  t.comment(`in its place ${Math.round(performance.now() - began)} ms after it began to join`);
  await waitUntil('it takes part', async () => (await answering()).includes('web-3'));
  const history = await fleet.well(['history', 'segmenter']);
  t.match(history.stdout, /fleet/);
  t.match((await fleet.well(['audit'])).stdout, /fleet +fleet +deployments\.start +done .*web-3/);

  // A reload has forgotten who was taken in: it is taken in again.
  await askHaproxy(haproxy.socket, 'set server web/web-3 state maint', 5000);
  await waitUntil('it is forgotten', async () =>
    /deleted|No such/.test(await askHaproxy(haproxy.socket, 'del server web/web-3', 5000)),
  );
  await fleet.agents.get('web-3')!.stop();
  await fleet.startAgent('web-3');
  await becomes('web-1 1.0.0', 'web-2 1.0.0', 'web-3 1.0.0');

  // Its agent is away for two deployments, and its service serves users all the time.
  await fleet.agents.get('web-2')!.stop('SIGKILL');
  await waitUntil('it is gone', async () => !(await fleet.isConnected('web-2')));
  const others = ['--host', 'web-1,web-3'];
  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.1.0', ...others]);
  await fleet.well(['rollback', 'segmenter', '-y', ...others]);
  const { stdout } = await fleet.well(['deploy', 'segmenter', '--version', '1.1.0', ...others]);
  t.match(stdout, /web-2: was passed by, its agent is not connected/);
  t.match((await fleet.well(['status'])).stdout, /web-2 is behind: .*not connected/);
  // The controller dies while it catches up.
  await fleet.startAgent('web-2');
  await waitUntil('it catches up', async () => (await service()).running?.by === 'fleet', fleet.controller);
  await fleet.controller!.stop('SIGKILL');
  await fleet.startController();
  await becomes('web-1 1.1.0', 'web-2 1.1.0', 'web-3 1.1.0');

  const out = await fleet.well(['hosts', 'out', 'web-1', '-m', 'its disk is slow']);
  t.match(
    out.stdout,
    /hidden, 2 visible[\s\S]*next: fleet hosts in web-1\nRECAP out web-1, [\s\S]*changed=1/,
  );
  t.strictSame(await answering(), ['web-2', 'web-3']);
  t.match(
    (await fleet.well(['status'])).stdout,
    /web-1 is out: .*by root.*: its disk is slow\n +next: fleet hosts in web-1/,
  );
  t.match(await fleet.run(['deploy', 'segmenter', '--version', '1.0.0', '--host', 'web-1']), {
    code: 2,
    stderr: /web-1 is out/,
  });
  const passed = await fleet.well(['deploy', 'segmenter', '--version', '1.0.0']);
  t.match(passed.stdout, /web-1: was passed by, it is out: fleet hosts in web-1/);
  const back = await fleet.well(['hosts', 'in', 'web-1']);
  t.match(back.stdout, /deployment \d+ brings it back[\s\S]*web-1 +: ok=\d+[\s\S]*RECAP in web-1/);
  await becomes('web-1 1.0.0', 'web-2 1.0.0', 'web-3 1.0.0');

  await fleet.well(['hosts', 'out', 'web-1', '-m', 'one']);
  await fleet.well(['hosts', 'out', 'web-2', '-m', 'two']);
  t.match(await fleet.run(['hosts', 'out', 'web-3', '-m', 'three']), { code: 3, stderr: /min_visible/ });
  await fleet.well(['hosts', 'in', 'web-1']);
  await fleet.well(['hosts', 'in', 'web-2']);
  await becomes('web-1 1.0.0', 'web-2 1.0.0', 'web-3 1.0.0');

  const shown = (await fleet.get('/api/hosts/web-3')) as HostShown;
  t.match(shown, {
    out: null,
    places: [
      { service: 'segmenter', running: '1.0.0', wanted: '1.0.0', balancer: 'visible', standing: null },
    ],
    certificateUntil: /^20/,
  });
  const removed = await fleet.run(['hosts', 'remove', 'web-3', '-y', '-m', 'sold']);
  t.match(
    removed,
    { code: 0, stdout: /stopped[\s\S]*next: fleet hosts clean web-3\nRECAP remove web-3/ },
    removed.stderr,
  );
  t.strictSame(await visible(), ['web-1 1.0.0', 'web-2 1.0.0']);
  t.notMatch(await askHaproxy(haproxy.socket, 'show servers state web', 5000), /web-3/);
  await t.rejects(fetch(`http://127.0.0.1:${ports['web-3']}`), 'nothing of it runs');
  t.match(await fleet.run(['hosts', 'show', 'web-3']), { code: 2 });

  await load.stop();
  t.comment(`${load.sent} requests, ${load.failed} failed`);
  t.strictSame(load.failures, []);
});
