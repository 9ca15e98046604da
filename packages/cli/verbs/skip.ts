import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { waitingHost } from '../flags.ts';
import { steers } from '../steer.ts';

const defineSkip = steers({
  route: 'deployments.skip',
  says: (id) => [
    `deployment ${id} goes on, as if the interrupted hook had ended well`,
    `fleet attach ${id}   watches it`,
  ],
  examples: ['fleet skip 42 -m "the table has the new column"', 'fleet skip 42 --host web-1'],
  exits:
    '0 it goes on, 2 there is no such deployment, 3 it does not wait for a decision, 4 the controller does not answer',
});

export function define(command: Command, cli: Cli): void {
  defineSkip(command, cli);
  command.addOption(waitingHost());
}
