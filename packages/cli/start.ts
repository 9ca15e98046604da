/** Starting a deployment of any kind, then watching it. */
import { type Cli, STOPPED_WATCHING } from './cli.ts';
import type { Client } from './client.ts';
import type { Reporting } from './flags.ts';
import { encodeJson } from './print/escape.ts';
import { reachController } from './reach.ts';
import { watchDeployment } from './watch.ts';

export async function startDeployment(
  cli: Cli,
  options: Reporting & { wait: boolean },
  history: string,
  /** Gives no number where there is nothing to start. */
  start: (client: Client) => Promise<{ id: number | null }>,
): Promise<void> {
  const client = reachController(cli, options);
  let id: number | null;
  try {
    ({ id } = await start(client));
  } catch (error) {
    if (!cli.stopped.aborted) throw error;
    cli.err.print(`stopped before the controller answered; whether it started is not known: ${history}`);
    cli.exit = STOPPED_WATCHING;
    return;
  }
  if (id === null)
    return cli.out.print(options.json ? encodeJson({ id }) : 'every host succeeded: nothing to do');
  if (options.wait) return watchDeployment(cli, client, id, options.json);
  if (options.json) return cli.out.print(encodeJson({ id }));
  cli.out.print(`deployment ${id} is accepted`);
  cli.out.print(`  fleet attach ${id}   watches it`);
}
