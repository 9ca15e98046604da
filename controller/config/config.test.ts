import { join } from 'node:path';
import type { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { fillTemplate, hostsOf, loadConfig, placementOf, valuesFor } from './config.ts';

const TEXT = `data: ./data
services:
  web: { source: { git: ../repo } }
  far: { source: { git: git@example.com:team/far.git } }
  folder: { source: { directory: app } }
balancers:
  socket: { kind: haproxy, address: run/lb.sock }
  tcp: { kind: haproxy, address: 127.0.0.1:9999 }
environments:
  staging:
    services:
      web: { hosts: { environment: staging } }
  production:
    services:
      web: { hosts: { environment: production, role: web }, values: { PORT: { label: port }, MODE: fast } }
      folder: { hosts: { role: tool } }
`;

async function refusal(work: () => unknown): Promise<FleetError> {
  try {
    await work();
  } catch (error) {
    return error as FleetError;
  }
  throw new Error('it was not refused');
}

t.test('paths hold from everywhere, and nothing can be changed', async (t) => {
  const dir = t.testdir({ conf: { 'controller.yaml': TEXT } });
  const config = await loadConfig(join(dir, 'conf/controller.yaml'));
  t.equal(config.file, join(dir, 'conf/controller.yaml'));
  t.equal(config.data, join(dir, 'conf/data'));
  t.match(config.services, {
    web: { source: { git: join(dir, 'repo'), ref: 'main' } },
    far: { source: { git: 'git@example.com:team/far.git' } },
    folder: { source: { directory: join(dir, 'conf/app') } },
  });
  t.match(config.balancers, {
    socket: { address: join(dir, 'conf/run/lb.sock') },
    tcp: { address: '127.0.0.1:9999' },
  });
  t.throws(() => {
    config.environments.production!.services.web!.strategy.min_visible = 0;
  }, TypeError);
});

t.test('what does not hold is refused, with its place', async (t) => {
  const dir = t.testdir({
    'controller.yaml': TEXT.replace('{ role: tool }', '{ role: tool }, balancer: { name: x, backend: b }'),
  });
  t.match(await refusal(() => loadConfig(join(dir, 'controller.yaml'))), {
    code: 'bad_config',
    message: /controller.yaml:16:\d+: .*: no such balancer `x`; there are socket, tcp$/,
  });
  const wrong = t.testdir({ 'controller.yaml': 'services: 5\n' });
  t.match(await refusal(() => loadConfig(join(wrong, 'controller.yaml'))), { code: 'bad_config' });
});

t.test('lookups', async (t) => {
  const dir = t.testdir({ 'controller.yaml': TEXT });
  const config = await loadConfig(join(dir, 'controller.yaml'));
  const production = placementOf(config, 'web', 'production');
  t.match(production, { service: 'web', environment: 'production', hosts: { role: 'web' } });
  t.equal(placementOf(config, 'folder').environment, 'production', 'the only one');
  const refused = (service: string, environment?: string) =>
    refusal(() => placementOf(config, service, environment));
  t.match(await refused('wbe'), { code: 'unknown_service', message: /did you mean `web`/ });
  t.match(await refused('constructor'), { code: 'unknown_service', message: /there are web, far, folder/ });
  t.match(await refused('web', 'prodution'), {
    code: 'unknown_environment',
    message: /did you mean `production`/,
  });
  t.match(await refused('web'), {
    code: 'unknown_environment',
    message: /staging, production/,
    next: /-e staging/,
  });
  t.match(await refused('folder', 'staging'), {
    code: 'unknown_environment',
    message: /it is in production/,
  });
  t.match(await refused('far'), { code: 'unknown_environment', message: /no environment/ });

  const host = (name: string, labels: Record<string, string>) => ({ host: name, labels });
  const web = { environment: 'production', role: 'web' };
  const hosts = [
    host('web-10', web),
    host('web-2', { ...web, port: '7102' }),
    host('db', { ...web, role: 'db' }),
  ];
  t.strictSame(
    hostsOf(production, hosts).map((one) => one.host),
    ['web-2', 'web-10'],
  );
  t.strictSame(valuesFor(production, hosts[1]!), { PORT: '7102', MODE: 'fast' });
  t.match(await refusal(() => valuesFor(production, hosts[0]!)), {
    code: 'missing_variable',
    message: /web-10 has no label `port`, which the variable PORT/,
    next: /fleet hosts remove web-10/,
  });
  t.equal(fillTemplate('{host}.lan:{label.port}', hosts[1]!), 'web-2.lan:7102');
  t.match(await refusal(() => fillTemplate('{label.port}', hosts[0]!)), { code: 'missing_variable' });
  t.match(await refusal(() => fillTemplate('{label.toString}', hosts[0]!)), { code: 'missing_variable' });
});
