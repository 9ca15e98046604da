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
      const reply = await client.call('deployments.pause', {
        params: { id },
        body: { why: options.message },
      });
      if (options.json) return cli.out.print(encodeJson(reply));
      cli.out.print(
        `deployment ${id} waits at the next safe point, and keeps its lock: the host that it is at is finished first`,
      );
      cli.out.print(`  fleet resume ${id}   lets it go on`);
      cli.out.print(`  fleet abort ${id}    ends it`);
    });
  addExamples(
    command,
    ['fleet pause 42', 'fleet pause 42 -m "a look at the graphs first"'],
    'Exit status: 0 it waits, 2 there is no such deployment, 3 it ends or has ended already, 4 the controller does not answer',
  );
}
