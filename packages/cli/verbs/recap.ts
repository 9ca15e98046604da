import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach, readNumber } from '../flags.ts';
import { printEnding } from '../print/ending.ts';
import { encodeJson } from '../print/escape.ts';
import { waysOn } from '../print/waiting.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('<deployment>', 'its number', readNumber)
    .addOption(reach())
    .addOption(json('print the controller’s reply as one JSON document; it has every step too'))
    .action(async (id: number, options: Reporting) => {
      const reply = await reachController(cli, options).call('deployments.show', { params: { id } });
      cli.exit = reply.recap.exit;
      if (options.json) return cli.out.print(encodeJson(reply));
      if (reply.deployment.state === 'paused') cli.out.print(`it is paused: fleet resume ${id}`);
      else if (reply.deployment.state === 'waiting') cli.out.print(`it waits for a person: ${waysOn(id)}`);
      else if (reply.recap.state === 'running') cli.out.print(`it is running: fleet attach ${id}`);
      printEnding(cli.out, reply.recap, { wayBack: false, wasShown: () => false });
    });
  addExamples(
    command,
    ['fleet recap 42', 'fleet recap 42 --json'],
    'Exit status: the deployment’s own, as `fleet deploy` gave it; 2 there is no such deployment; 4 the controller does not answer',
  );
}
