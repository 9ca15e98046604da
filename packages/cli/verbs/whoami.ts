import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { reachController } from '../reach.ts';
import { describePerson } from './login.ts';

export function define(command: Command, cli: Cli): void {
  command
    .addOption(reach())
    .addOption(json())
    .action(async (options: Reporting) => {
      const client = reachController(cli, options);
      const me = await client.call('people.me', {});
      cli.out.print(
        options.json ? encodeJson(me) : oneLine(`${describePerson(me)}, at ${client.controller}`),
      );
    });
  addExamples(command, ['fleet whoami', 'fleet whoami --json']);
}
