import type { RehearsalRow, RehearsalShown } from '@fleet/protocol/api/rehearsals.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { formatDuration, formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

type Options = Reporting & { profile?: string; lines: number };

export function define(command: Command, cli: Cli): void {
  command
    .argument('[id]', 'one of them, with its times and what was not well', readNumber)
    .option('-p, --profile <name>', 'only those of this profile')
    .option('-n, --lines <number>', 'how many, at most 500', readNumber, 20)
    .addOption(reach())
    .addOption(json())
    .action(async (id: number | undefined, options: Options) => {
      const client = reachController(cli, options);
      if (id !== undefined) {
        const shown = await client.call('rehearsals.show', { params: { id } });
        if (options.json) return cli.out.print(encodeJson(shown));
        return print(cli, shown);
      }
      const query = { profile: options.profile, limit: options.lines };
      const rows = await client.call('rehearsals.list', { query });
      if (options.json) return cli.out.print(encodeJson(rows));
      if (rows.length === 0) cli.out.print('nothing was rehearsed yet: fleet rehearse PROFILE --on COMMAND');
      for (const line of layOut(rows.map(rowOf))) cli.out.print(line);
    });
  addExamples(command, ['fleet rehearsals', 'fleet rehearsals --profile web -n 5', 'fleet rehearsals 12']);
}

function rowOf({ id, profile, host, by, startedAt, endedAt, succeeded }: RehearsalRow): string[] {
  return [
    String(id),
    formatMoment(startedAt),
    profile,
    succeeded === null ? 'not ended' : succeeded ? 'succeeded' : 'failed',
    endedAt === null ? '' : formatDuration(Date.parse(endedAt) - Date.parse(startedAt)),
    host,
    oneLine(by),
  ];
}

function print({ out }: Cli, shown: RehearsalShown): void {
  for (const line of layOut([rowOf(shown)])) out.print(line);
  const { report } = shown;
  if (report === null) return;
  const rows = report.phases.map(({ name, outcome, ms, message }) => [
    `  ${oneLine(name)}`,
    outcome,
    outcome === 'skipped' ? '' : formatDuration(ms),
    oneLine(message ?? ''),
  ]);
  for (const line of layOut(rows)) out.print(line);
  for (const { service, environment, version, deployment } of report.services)
    out.print(
      `  ${service} ${version} ${environment}${deployment === null ? '' : `, deployment ${deployment}`}`,
    );
  for (const { level, about, says } of report.findings)
    out.print(`  ${level} ${oneLine(about)}: ${oneLine(says)}`);
  if (report.facts === null) return;
  const { distribution, kernel, libc, node, agent, packages } = report.facts;
  const count = packages === null ? '' : `, ${Object.keys(packages).length} packages`;
  out.print(
    `  ${oneLine(`${distribution}, kernel ${kernel}, ${libc}, Node ${node}, agent ${agent}${count}`)}`,
  );
}
