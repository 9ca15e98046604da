import { type FindingLevel, worst } from '@fleet/protocol/finding.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import type { Colors } from '../print/channel.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { reachController } from '../reach.ts';

const COLORS = { ok: 'green', warn: 'yellow', bad: 'red' } as const satisfies Record<
  FindingLevel,
  keyof Colors
>;

export function define(command: Command, cli: Cli): void {
  command
    .argument('<host>')
    .addOption(reach())
    .addOption(json())
    .action(async (host: string, options: Reporting) => {
      const examined = await reachController(cli, options).call('hosts.examine', {
        params: { host },
        query: {},
      });
      const { findings } = examined;
      if (worst(findings) === 'bad') cli.exit = 1;
      if (options.json) return cli.out.print(encodeJson(examined));
      const width = Math.max(...findings.map(({ about }) => oneLine(about).length));
      for (const { level, about, says, next } of findings) {
        const { out } = cli;
        out.print(
          `${out.colors[COLORS[level]](level.padEnd(4))}  ${oneLine(about).padEnd(width)}  ${oneLine(says)}`,
        );
        if (next !== null) out.print(`${' '.repeat(width + 8)}next: ${oneLine(next)}`);
      }
    });
  addExamples(
    command,
    ['fleet doctor web-1', 'fleet doctor web-1 --json'],
    `Nothing is changed. For a host that is not connected it says what can be said from here, and what to run on the host:
\`fleet agent doctor\` looks from the other end.

Exit status: 0 all is well, or will soon not be (warn), 1 something is bad, 2 no such host, 4 the controller does not answer`,
  );
}
