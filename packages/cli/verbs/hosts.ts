import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatBytes } from '../print/bytes.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .helpCommand(false)
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const hosts = await reachController(cli, options).call('hosts.list', {});
      if (options.json) return cli.out.print(encodeJson(hosts));
      if (hosts.length === 0) cli.out.print('no agent has ever connected: on a host, run fleet init agent');
      for (const line of layOut(hosts.map(rowOf))) cli.out.print(line);
    });
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
  addExamples(command, ['fleet hosts', 'fleet hosts forget cubed-segmenter-c']);
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
    host.services.map(({ service, current }) => `${service} ${current ?? '-'}`).join(', '),
  ];
}
