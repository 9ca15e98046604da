import type { IdentityRow } from '@fleet/protocol/api/enrolment.ts';
import type { HostRow, HostShown } from '@fleet/protocol/api/fleet.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatBytes } from '../print/bytes.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';
import { defineIn, defineOut, defineRemove } from './hosts/out.ts';

export function define(command: Command, cli: Cli): void {
  command
    .helpCommand(false)
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const hosts = await reachController(cli, options).call('hosts.list', {});
      if (options.json) return cli.out.print(encodeJson(hosts));
      if (hosts.length === 0)
        cli.out.print('no agent has ever connected: fleet hosts add makes a host of a machine');
      for (const line of layOut(hosts.map(rowOf))) cli.out.print(line);
    });
  // Programs of their own, which bin/fleet.js starts: here they are named for whoever looks.
  command.command('add').description('Make machines hosts of this fleet, over SSH.');
  command.command('clean').description('Take fleet off a machine again, over SSH.');
  const showing = command
    .command('show')
    .description('Show one host, and what its own agent.yaml lets be done on it.');
  showing
    .argument('<host>')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting) => {
      const shown = await reachController(cli, options).call('hosts.show', { params: { host } });
      if (options.json) return cli.out.print(encodeJson(shown));
      for (const line of layOut(linesOf(shown))) cli.out.print(line);
    });
  addExamples(showing, ['fleet hosts show cubed-segmenter-a', 'fleet hosts show cubed-segmenter-a --json']);
  const forgetting = command.command('forget').description('Forget a host that is gone for good.');
  forgetting
    .argument('<host>')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting) => {
      const reply = await reachController(cli, options).call('hosts.forget', { params: { host } });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(reply.forgotten ? `${host} is forgotten` : `${host} was not known`);
    });
  addExamples(forgetting, [
    'fleet hosts forget cubed-segmenter-c',
    'fleet hosts forget cubed-segmenter-c --json',
  ]);
  defineOut(
    command.command('out').description('Take a host out: no balancer shows it, and deployments pass it by.'),
    cli,
  );
  defineIn(
    command.command('in').description('Let a host in again: it catches up, and is shown once it is well.'),
    cli,
  );
  defineRemove(
    command.command('remove').description('Take a host off the fleet: hidden, stopped, cut off, forgotten.'),
    cli,
  );
  const joining = command
    .command('joined')
    .description('Hosts that have joined, and those that wait for it.');
  joining
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const joined = await reachController(cli, options).call('identities.list', {});
      if (options.json) return cli.out.print(encodeJson(joined));
      for (const line of layOut(joined.map(identityOf))) cli.out.print(line);
    });
  addExamples(joining, ['fleet hosts joined', 'fleet hosts joined --json']);
  const approving = command.command('approve').description('Let in a host that waits for it.');
  approving
    .argument('<host>')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting) => {
      const reply = await reachController(cli, options).call('hosts.approve', { params: { host } });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(`${host} is let in`);
    });
  addExamples(approving, [
    'fleet hosts approve cubed-segmenter-c',
    'fleet hosts approve cubed-segmenter-c --json',
  ]);
  const revoking = command.command('revoke').description('Cut off a host: its key opens nothing any more.');
  revoking
    .argument('<host>')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting) => {
      const reply = await reachController(cli, options).call('hosts.revoke', { params: { host } });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(`${host} is cut off; to let it join anew: fleet token create --host ${host}`);
    });
  addExamples(
    revoking,
    ['fleet hosts revoke cubed-segmenter-c', 'fleet hosts revoke cubed-segmenter-c --json'],
    'Its connection ends at once. Its services go on: what runs there is still to be stopped.',
  );
  addExamples(command, [
    'fleet hosts',
    'fleet hosts add -p web web-1=10.0.0.11 web-2=10.0.0.12 -P',
    'fleet hosts joined',
    'fleet hosts revoke cubed-segmenter-c',
    'fleet hosts show cubed-segmenter-a',
    'fleet hosts forget cubed-segmenter-c',
    'fleet hosts out cubed-segmenter-c -m "its disk is being replaced"',
    'fleet hosts in cubed-segmenter-c',
  ]);
}

function identityOf({
  host,
  state,
  labels,
  key,
  joinedAt,
  expiresAt,
  endedAt,
  endedBy,
}: IdentityRow): string[] {
  return [
    host,
    state,
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    `key ${key.slice(0, 16)}`,
    `joined ${formatMoment(joinedAt)}`,
    endedAt === null
      ? expiresAt === null
        ? ''
        : `certificate until ${formatMoment(expiresAt)}`
      : `${formatMoment(endedAt)} by ${endedBy}`,
  ];
}

function rowOf(host: HostRow): string[] {
  return [
    host.host,
    host.connected ? 'connected' : `last seen ${formatMoment(host.lastSeen)}`,
    Object.entries(host.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    host.platform,
    `${formatBytes(host.freeDisk)} free`,
    releasesOf(host),
    standsAs(host),
  ];
}

/** Fleet's own programs are what `fleet agents` lists. */
function releasesOf({ services }: HostRow): string {
  const others = services.filter(({ service }) => !isOwn(service));
  return others.map(({ service, current }) => `${service} ${current ?? '-'}`).join(', ');
}

function standsAs({ out, standings }: HostRow): string {
  if (out !== null) return oneLine(`out, by ${out.by}: ${out.why}`);
  return standings
    .map(({ service, state, why }) => oneLine(`${service} is ${SAID[state]}: ${why}`))
    .join('; ');
}
const SAID = { out: 'out', catching_up: 'catching up', behind: 'behind' } as const;

function placesOf({ places }: HostShown): string[][] {
  return places.flatMap(({ service, environment, running, wanted, balancer, sessions, standing }) => [
    [
      `  ${service} ${environment}`,
      [
        running ?? 'nothing runs',
        wanted !== null && wanted !== running ? `of ${wanted}` : '',
        balancer ?? '',
        sessions ? `${sessions} session${sessions === 1 ? '' : 's'}` : '',
      ]
        .filter(Boolean)
        .join(', '),
    ],
    ...(standing === null
      ? []
      : [
          ['', oneLine(`${SAID[standing.state]}: ${standing.why}`)],
          ['', `next: ${oneLine(standing.next)}`],
        ]),
  ]);
}

function linesOf(host: HostShown): string[][] {
  const { policy } = host;
  const lines = [
    [host.host, host.connected ? 'connected' : `last seen ${formatMoment(host.lastSeen)}`],
    [
      '  labels',
      Object.entries(host.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ') || 'none',
    ],
    [
      '  machine',
      `${oneLine(host.platform)}, agent ${oneLine(host.agent)}, ${formatBytes(host.freeDisk)} free`,
    ],
    ['  services', releasesOf(host) || 'none'],
  ];
  if (host.out !== null)
    lines.push([
      '  out',
      oneLine(`since ${formatMoment(host.out.since)}, by ${host.out.by}: ${host.out.why}`),
    ]);
  if (host.certificateUntil !== null)
    lines.push(['  certificate', `until ${formatMoment(host.certificateUntil)}`]);
  lines.push(...placesOf(host));
  if (policy === null)
    return [...lines, ['  policy', 'not known: its agent is not connected, or too old to say']];
  const runAs = Object.entries(policy.runAs).map(([service, user]) => {
    const who = user === 'self' ? `${policy.user} (the agent’s own user)` : user;
    return `${service === '*' ? 'others' : service} as ${who}`;
  });
  const values = Object.entries(policy.labels).map(([name, patterns]) => `${name}: ${patterns.join(', ')}`);
  return [
    ...lines,
    ['  its own agent.yaml'],
    ['    takes', policy.services.join(', ') || 'no service'],
    ['    below', policy.root],
    ['    runs', runAs.join('; ') || 'nothing: it does not say as which user'],
    ['    root hooks', policy.rootHooks ? 'allowed' : 'refused'],
    ['    upgrades', policy.upgrades === false ? 'refused: its agent is not replaced' : 'allowed'],
    ['    labels', values.join('; ') || 'any'],
  ].map(([what = '', ...said]) => [what, ...said.map(oneLine)]);
}
