/** Watching a deployment from its first event to its recap. Watching is all this does: it may stop, the deployment goes on. */
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Cli } from './cli.ts';
import { STOPPED_WATCHING } from './cli.ts';
import type { Client } from './client.ts';
import { follow } from './follow.ts';
import { printEnding } from './print/ending.ts';
import { encodeJson } from './print/escape.ts';
import { createNarrator } from './print/steps.ts';

/** How often it is said again what a person has to decide about, so that a job's log tells why it does not end. */
const REMIND_MS = 5 * 60_000;

const isUnreachable = (error: unknown): error is FleetError =>
  error instanceof FleetError && error.code === 'controller_unreachable';
const whenBack = (error: FleetError, id: number) =>
  new FleetError(error.code, `${error.message}; how deployment ${id} goes on is not known`, {
    next: `when it answers again: fleet attach ${id}`,
    cause: error,
  });

/** Sets the exit status: the recap's, or 130. With `json` stdout carries the recap alone, and the telling goes to stderr. */
export async function watchDeployment(
  cli: Cli,
  client: Client,
  id: number,
  json: boolean | undefined,
  remindMs = REMIND_MS,
): Promise<void> {
  const channel = json ? cli.err : cli.out;
  const narrator = createNarrator(channel, id);
  const onSilence = () => channel.print('controller not answering, trying again');
  const reminding = setInterval(() => narrator.remind(), remindMs);
  let wayBack = true;
  try {
    for await (const event of follow(client, `deployment/${id}`, { signal: cli.stopped, onSilence })) {
      narrator.tell(event);
      if (event.type === 'deployment.started') wayBack = event.kind === 'deploy';
      if (event.type === 'deployment.ended') return end(event.recap);
    }
  } catch (error) {
    channel.update('');
    if (!cli.stopped.aborted) throw isUnreachable(error) ? whenBack(error, id) : error;
    cli.err.print(`stopped watching; deployment ${id} goes on`);
    cli.err.print(`  fleet attach ${id}   watches it again`);
    cli.err.print(`  fleet abort ${id}    stops it at the next safe point`);
    cli.exit = STOPPED_WATCHING;
  } finally {
    clearInterval(reminding);
  }

  function end(recap: Recap): void {
    if (json) cli.out.print(encodeJson(recap));
    else printEnding(channel, recap, { wayBack, wasShown: narrator.hasShown });
    cli.exit = recap.exit;
  }
}
