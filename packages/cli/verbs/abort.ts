import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { encodeJson } from '../print/escape.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('<deployment>', 'its number', readNumber)
    .option('-m, --message <why>', 'why, for the history')
    .addOption(reach())
    .addOption(json())
    .action(async (id: number, options: Reporting & { message?: string }) => {
      const client = reachController(cli, options);
      const reply = await client.call('deployments.abort', {
        params: { id },
        body: { why: options.message },
      });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(
        `deployment ${id} stops at the next safe point: the host that it is at is finished first`,
      );
      cli.out.print(`  fleet attach ${id}   watches it until then`);
    });
  addExamples(
    command,
    ['fleet abort 42', 'fleet abort 42 -m "wrong branch"'],
    'Exit status: 0 it will stop, 2 there is no such deployment, 3 it has ended already, 4 the controller does not answer',
  );
}
