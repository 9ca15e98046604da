import type { DeploymentRow } from '@fleet/protocol/api/deployments.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, environment, json, type Reporting, reach, readNumber } from '../flags.ts';
import { formatDuration, formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Options = Reporting & { environment?: string; lines: number };

export function define(command: Command, cli: Cli): void {
  command
    .argument('[service]')
    .addOption(environment())
    .option('-n, --lines <number>', 'how many, at most 500', readNumber, 20)
    .addOption(reach())
    .addOption(json())
    .action(async (service: string | undefined, options: Options) => {
      const query = { service, environment: options.environment, limit: options.lines };
      const deployments = await reachController(cli, options).call('deployments.list', { query });
      if (options.json) return cli.out.print(encodeJson(deployments));
      if (deployments.length === 0)
        cli.out.print(`nothing has been deployed yet: fleet deploy ${service ?? 'SERVICE'}`);
      for (const line of layOut(deployments.map(rowOf))) cli.out.print(line);
    });
  addExamples(command, ['fleet history', 'fleet history segmenter -e production -n 100']);
}

function rowOf(deployment: DeploymentRow): string[] {
  const { id, kind, service, environment, version, state, by, why, startedAt, endedAt } = deployment;
  const took = endedAt ? formatDuration(Date.parse(endedAt) - Date.parse(startedAt)) : '';
  return [
    String(id),
    formatMoment(startedAt),
    kind,
    service,
    version ?? '-',
    environment,
    state,
    took,
    oneLine(by),
    oneLine(why ?? ''),
  ];
}
