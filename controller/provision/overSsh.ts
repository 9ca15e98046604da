/** A host as root, for as long as something is done to it. Nothing of the login stays there: there was nothing but the connection. */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Connection, Target } from './connection.ts';
import type { Operator } from './operator.ts';
import { reach } from './reach.ts';
import { becomeRoot, type Root } from './root.ts';
import type { Report } from './tell.ts';

/** What went wrong is in the report. */
export async function overSsh(
  target: Target,
  { means, stopped, sudoPassword }: Operator,
  report: Report,
  work: (root: Root) => Promise<FleetError | undefined>,
): Promise<void> {
  const since = performance.now();
  let connection: Connection | undefined;
  const leave = () => connection?.close();
  stopped.addEventListener('abort', leave);
  try {
    if (stopped.aborted) throw wasStopped(target);
    connection = await reach(target, means);
    report.failure = await work(await becomeRoot(connection, sudoPassword));
  } catch (error) {
    report.failure = asFleetError(error);
  } finally {
    stopped.removeEventListener('abort', leave);
    leave();
    report.ms = performance.now() - since;
  }
  if (stopped.aborted && report.failure !== undefined) report.failure = wasStopped(target);
}

function wasStopped({ host }: Target): FleetError {
  return new FleetError('aborted', `${host}: it was stopped before it was done`, { data: { host } });
}
