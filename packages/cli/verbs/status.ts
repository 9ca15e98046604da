import type { DeploymentState } from '@fleet/protocol/api/deployments.ts';
import type { Status } from '@fleet/protocol/api/fleet.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, environment, json, type Reporting, reach } from '../flags.ts';
import type { Channel } from '../print/channel.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { waysOn } from '../print/waiting.ts';
import { reachController } from '../reach.ts';

type Service = Status['services'][number];

/** How a deployment that does not go on by itself stands, and the verb that says or does more. */
const STANDS: Partial<Record<DeploymentState, [string, string]>> = {
  paused: ['paused', 'resume'],
  waiting: ['waiting for a person', 'attach'],
};

export function define(command: Command, cli: Cli): void {
  command
    .argument('[service]')
    .addOption(environment())
    .addOption(reach())
    .addOption(json())
    .action(async (service: string | undefined, options: Reporting & { environment?: string }) => {
      const query = { service, environment: options.environment };
      const status = await reachController(cli, options).call('status.show', { query });
      if (options.json) return cli.out.print(encodeJson(status));
      if (status.services.length === 0)
        cli.out.print('no service is in any environment: add one to controller.yaml');
      for (const each of status.services) {
        printService(cli.out, each);
        cli.out.print('');
      }
      cli.out.print(`signing: ${status.controller.signing}`);
      cli.out.print(`builds run ${oneLine(status.controller.builds)}`);
    });
  addExamples(command, ['fleet status', 'fleet status segmenter -e production --json']);
}

const SAID = { out: 'out', catching_up: 'catching up', behind: 'behind' } as const;

function printService(out: Channel, { service, environment, version, running, hosts }: Service): void {
  const versions = new Set(hosts.map((host) => host.running));
  const summary =
    hosts.length === 0
      ? 'no host has its labels'
      : (version ?? (versions.size > 1 ? 'hosts differ' : 'not deployed'));
  out.print(`${out.colors.bold(`${service} ${environment}`)}  ${summary}`);
  const rows = hosts.map((host) => [
    `  ${host.host}`,
    host.running ?? '-',
    host.connected ? host.state : 'unreachable',
    host.balancer ?? '',
    // Why it is out is said below.
    host.standing?.state === 'out' ? '' : oneLine(host.note ?? ''),
  ]);
  for (const line of layOut(rows)) out.print(line);
  for (const { host, standing } of hosts) {
    if (standing === null) continue;
    out.print(`  ${host} is ${SAID[standing.state]}: ${oneLine(standing.why)}`);
    out.print(`    next: ${oneLine(standing.next)}`);
  }
  if (running) {
    const { deployment, state } = running;
    const what = running.version ? ` of ${running.version}` : '';
    const [stands, next] = STANDS[state] ?? ['running', 'attach'];
    out.print(
      `  deployment ${deployment}${what} is ${stands}, by ${oneLine(running.by)} since ${formatMoment(running.since)}: fleet ${next} ${deployment}`,
    );
    for (const { hook, version, host } of running.waitsFor)
      out.print(`    ${oneLine(hook)} of ${version} on ${host} was interrupted: ${waysOn(deployment)}`);
  } else if (hosts.length > 0 && version === null)
    out.print(`  next: fleet deploy ${service} -e ${environment}`);
}
