import { FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import type { Client } from '../client.ts';
import { addExamples, json, type Reporting, reach, readNumber, WATCHING_EXITS } from '../flags.ts';
import { reachController } from '../reach.ts';
import { watchDeployment } from '../watch.ts';

const RUNNING = new Set(['resolving', 'running', 'paused', 'waiting', 'aborting']);

export function define(command: Command, cli: Cli): void {
  command
    .argument('[deployment]', 'its number (default: the one that runs)', readNumber)
    .addOption(reach())
    .addOption(json('print the recap alone on stdout, as JSON; the progress goes to stderr'))
    .action(async (given: number | undefined, options: Reporting) => {
      const client = reachController(cli, options);
      await watchDeployment(cli, client, given ?? (await findRunning(client)), options.json);
    });
  addExamples(
    command,
    ['fleet attach', 'fleet attach 42'],
    `All of it is told from the beginning; one that has ended ends at once, with its recap.\n\n${WATCHING_EXITS}`,
  );
}

/** Throws `not_running` where there is none, `bad_request` where there are several. */
async function findRunning(client: Client): Promise<number> {
  const running = (await client.call('deployments.list', { query: { limit: 500 } })).filter(({ state }) =>
    RUNNING.has(state),
  );
  const [only, another] = running;
  if (!only)
    throw new FleetError('not_running', 'no deployment is running', {
      next: 'fleet history shows the last ones',
    });
  if (!another) return only.id;
  const lines = running.map(
    ({ id, service, environment, by }) => `\n  fleet attach ${id}   ${service} ${environment}, by ${by}`,
  );
  throw new FleetError('bad_request', `${running.length} deployments are running`, {
    next: `name one:${lines.join('')}`,
  });
}
