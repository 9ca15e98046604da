/** Whether a host is there to be deployed to. */
import { within } from './clock.ts';
import type { Deps } from './context.ts';

/** Agents of a controller that has just started get their time to come back. Throws `unreachable`. */
export async function whenPresent(
  { agents, clock, settledAt, parking }: Pick<Deps, 'agents' | 'clock' | 'settledAt' | 'parking'>,
  host: string,
): Promise<void> {
  const wait = Math.max(0, settledAt - clock.now());
  await within(clock, wait, parking, (over) => agents.whenConnected(host, over));
}
