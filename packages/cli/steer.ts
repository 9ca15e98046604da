/** Verbs that ask something of a deployment under way: what they share. */
import type { Command } from 'commander';
import type { Cli } from './cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from './flags.ts';
import { encodeJson } from './print/escape.ts';
import { reachController } from './reach.ts';

export interface Steering {
  route: `deployments.${'pause' | 'resume' | 'skip' | 'abort'}`;
  /** What has become of the deployment, and below it command lines that may come next, with what each does. */
  says(id: number): [string, ...string[]];
  examples: string[];
  exits: string;
}

type Options = Reporting & { message?: string; host?: string };

export function steers({ route, says, examples, exits }: Steering) {
  return (command: Command, cli: Cli): void => {
    command
      .argument('<deployment>', 'its number', readNumber)
      .option('-m, --message <why>', 'why, for those who watch it and for the history')
      .addOption(reach())
      .addOption(json())
      .action(async (id: number, { message, host, ...options }: Options) => {
        const body = { why: message, host };
        const reply = await reachController(cli, options).call(route, { params: { id }, body });
        if (options.json) return cli.out.print(encodeJson(reply));
        const [what, ...next] = says(id);
        cli.out.print(what);
        for (const line of next) cli.out.print(`  ${line}`);
      });
    addExamples(command, examples, `Exit status: ${exits}`);
  };
}
