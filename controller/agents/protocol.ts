import { FleetError } from '@fleet/protocol/errors.ts';
import { PROTOCOL } from '@fleet/protocol/messages/hello.ts';

interface Greeting {
  host: string;
  agent: string;
  protocol: { min: number; max: number };
}

/**
 * The newest protocol that both ends speak; `version_mismatch`, with both versions and what to do, where there is none.
 * `ours` is the controller's version.
 */
export function agreedProtocol({ host, agent, protocol: theirs }: Greeting, ours: string): number {
  const newest = Math.min(theirs.max, PROTOCOL.max);
  if (newest >= Math.max(theirs.min, PROTOCOL.min)) return newest;
  const next =
    theirs.max < PROTOCOL.min
      ? `Put a newer agent in place on ${host}: one that comes with fleet ${ours}.`
      : `Put a newer controller in place, one that comes with fleet ${agent}, or an older agent on ${host}.`;
  throw new FleetError(
    'version_mismatch',
    `the agent on ${host} (fleet ${agent}) speaks protocol ${range(theirs)}, the controller (fleet ${ours}) ${range(PROTOCOL)}`,
    { next, data: { host, agent, controller: ours } },
  );
}

function range({ min, max }: { min: number; max: number }): string {
  return min === max ? String(min) : `${min} to ${max}`;
}
