import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { encodeJson } from '../print/escape.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('<deployment>', 'its number', readNumber)
    .option('-m, --message <why>', 'why, for those who watch it')
    .addOption(reach())
    .addOption(json())
    .action(async (id: number, options: Reporting & { message?: string }) => {
      const client = reachController(cli, options);
      const reply = await client.call('deployments.resume', {
        params: { id },
        body: { why: options.message },
      });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(`deployment ${id} goes on`);
      cli.out.print(`  fleet attach ${id}   watches it`);
    });
  addExamples(
    command,
    ['fleet resume 42', 'fleet resume 42 -m "the graphs are fine"'],
    'Exit status: 0 it goes on, 2 there is no such deployment, 3 it is not paused, 4 the controller does not answer',
  );
}
