import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import {
  addExamples,
  json,
  type Reporting,
  reach,
  readNumber,
  WATCHING_EXITS,
  waitingHost,
} from '../flags.ts';
import { startDeployment } from '../start.ts';

type Options = Reporting & { message?: string; host?: string; wait: boolean };

export function define(command: Command, cli: Cli): void {
  command
    .argument('<deployment>', 'the number of one that waits for a person, or has ended', readNumber)
    .option('-m, --message <why>', 'why, for the history')
    .addOption(waitingHost())
    .addOption(reach())
    .option('--no-wait', 'only start it; exit status 0 then means accepted, and says only that')
    .addOption(json('print the recap alone on stdout, as JSON; the progress goes to stderr'))
    .action(async (id: number, options: Options) => {
      const asked = { params: { id }, body: { why: options.message, host: options.host } };
      await startDeployment(cli, options, 'fleet history', (client) =>
        client.call('deployments.retry', asked),
      );
    });
  addExamples(
    command,
    ['fleet retry 42', 'fleet retry 42 -m "the disk of web-3 has room again"'],
    `Where deployment 42 waits for a person, because a hook that may not run twice was interrupted: that hook is run again,
and deployment 42 goes on.

Where it has ended: a new deployment of the same version, for just the hosts that failed, were not reached or not begun, went back, or do
not run the version. Where every host succeeded there is nothing to do: it says so, with exit status 0.

${WATCHING_EXITS}`,
  );
}
