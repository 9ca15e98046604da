/** A fleet as it is in earnest: keys, certificates, tokens and signatures; deployed to, gone back on, and a host cut off in the middle of it. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { waitUntil } from '../../scripts/local/program.ts';
import { makeRepository } from '../../scripts/local/repository.ts';

t.setTimeout(300_000);

t.test('hosts that have joined are deployed to, go back, and are cut off', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-secure-'));
  const hosts = ['web-1', 'web-2'] as const;
  const ports = await freePorts(hosts.length);
  makeRepository(join(dir, 'segmenter'));
  const fleet = await LocalFleet.create({
    dir,
    secure: true,
    hosts: hosts.map((host, index) => ({ host, labels: { role: 'segmenter', port: ports[index]! } })),
    config: `data: ./data
services:
  segmenter: { source: { git: ./segmenter, ref: main } }
environments:
  production:
    services:
      segmenter:
        hosts: { role: segmenter }
        strategy: { settle: 100ms, min_visible: 0, patience: 5s }
        values:
          PORT: { label: port }
          DATABASE: ${join(dir, 'visitors.sqlite')}
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  await fleet.start();
  t.ok(existsSync(join(dir, 'fleet-root.key')));
  const log = readFileSync(join(dir, 'controller.log'), 'utf8');
  t.notMatch(log, /DEVELOPMENT|http:/);
  t.match(log, `"url":"${fleet.url}"`);

  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.0.0']);
  await fleet.well(['deploy', 'segmenter', '--ref', 'v1.1.0']);
  t.match((await fleet.well(['status'])).stdout, /web-1 +1\.1\.0 +running[\s\S]*web-2 +1\.1\.0 +running/);
  await fleet.well(['rollback', 'segmenter', '-y']);
  t.match((await fleet.well(['status'])).stdout, /web-1 +1\.0\.0 +running[\s\S]*web-2 +1\.0\.0 +running/);

  // Another agent with nothing but a name, and one whose host was cut off.
  const stranger = await fleet.run([
    'agent',
    '--host',
    'web-3',
    '--root',
    join(dir, 'hosts/web-3'),
    '--controller',
    `wss://127.0.0.1:1`,
  ]);
  t.match(stranger, { code: 3, stderr: /has not/ });
  const began = performance.now();
  await fleet.well(['hosts', 'revoke', 'web-2']);
  await waitUntil('web-2 is out', async () => !(await fleet.isConnected('web-2')));
  t.comment(`cut off ${Math.round(performance.now() - began)} ms after the command was begun`);
  await waitUntil('its agent is told why', () =>
    readFileSync(join(dir, 'agent-web-2.log'), 'utf8').includes('web-2 was revoked'),
  );
  t.match(await fleet.run(['deploy', 'segmenter', '--version', '1.1.0']), {
    code: /^[15]$/,
    stdout: /web-2/,
  });
  t.match((await fleet.well(['hosts', 'joined'])).stdout, /web-1 +active[\s\S]*web-2 +revoked/);
  t.match((await fleet.well(['audit'])).stdout, /hosts\.revoke/);

  // A token that was spent says so on the host, and stands in the audit log.
  const { stdout: string } = await fleet.well([
    'token',
    'create',
    '--host',
    'web-2',
    '--role',
    'segmenter',
    '--env',
    'production',
  ]);
  await fleet.agents.get('web-2')!.stop();
  const join2 = ['agent', 'join', string.trim(), '--config', 'agent-web-2.yaml'];
  t.match(await fleet.run(join2), { code: 2, stderr: /joined as web-2 already/ });
  await fleet.well([...join2, '--again']);
  t.match(await fleet.run([...join2, '--again']), {
    code: 3,
    stderr: /has been used[\s\S]*fleet token create --host web-2/,
  });
  t.match((await fleet.well(['audit'])).stdout, /agents\.join +refused|refused[^\n]*agents\.join/);
  t.match((await fleet.well(['audit', 'verify'])).code, 0);
});
