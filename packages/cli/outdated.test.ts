import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import type { Program } from '@fleet/protocol/api/programs.ts';
import t from 'tap';
import { isReplaceable, newest, upgradesOf } from './outdated.ts';

const host = (name: string, agent: string, node: string | null, platform = 'linux-x64') =>
  ({
    ...{ host: name, agent, platform },
    services:
      node === null
        ? []
        : [
            { service: 'fleet-agent', current: agent, releases: [agent] },
            { service: 'fleet-node', current: node, releases: [node] },
          ],
  }) as unknown as HostRow;
const program = (service: Program['service'], version: string, platform: string) =>
  ({ service, version, platform }) as Program;
const PROGRAMS = [
  program('fleet-agent', '2', 'linux'),
  program('fleet-node', '26-x64', 'linux-x64'),
  program('fleet-node', '26-arm64', 'linux-arm64'),
];

t.test('Node first, each host its own; who has the newest is left alone', async (t) => {
  const hosts = [
    host('a', '1', '24-x64'),
    host('b', '2', '26-x64'),
    host('c', '2', '24-arm64', 'linux-arm64'),
    host('d', '1', '26-x64'),
  ];
  t.same(upgradesOf(hosts, PROGRAMS), [
    { service: 'fleet-node', version: '26-x64', hosts: ['a'] },
    { service: 'fleet-node', version: '26-arm64', hosts: ['c'] },
    { service: 'fleet-agent', version: '2', hosts: ['a', 'd'] },
  ]);
  t.same(upgradesOf([hosts[1]!], PROGRAMS), []);
});

t.test('what is for another platform, or was not installed by fleet, is not looked for', async (t) => {
  t.equal(newest({ platform: 'linux-riscv64' }, 'fleet-node', PROGRAMS), null);
  t.equal(newest({ platform: 'linux-riscv64' }, 'fleet-agent', PROGRAMS), '2');
  t.notOk(isReplaceable(host('dev', '0.1.0', null)));
  t.ok(isReplaceable(host('a', '1', '24-x64')));
});

t.test('a link that was switched is not what runs', async (t) => {
  const switched = { ...host('a', '1', '26-x64') };
  switched.services = [{ service: 'fleet-agent', current: '2', releases: ['1', '2'] }, switched.services[1]!];
  t.same(upgradesOf([switched], PROGRAMS), [{ service: 'fleet-agent', version: '2', hosts: ['a'] }]);
});
