import { FleetError } from '@fleet/protocol/errors.ts';
import { PROTOCOL } from '@fleet/protocol/messages/hello.ts';

/** The newest protocol that both ends speak; `version_mismatch`, with who must be upgraded, where there is none. */
export function agreedProtocol(host: string, agent: { min: number; max: number }): number {
  const newest = Math.min(agent.max, PROTOCOL.max);
  if (newest >= Math.max(agent.min, PROTOCOL.min)) return newest;
  const older = agent.max < PROTOCOL.min ? `the agent on ${host}` : 'the controller';
  throw new FleetError(
    'version_mismatch',
    `${host} speaks protocol ${agent.min} to ${agent.max}, the controller ${PROTOCOL.min} to ${PROTOCOL.max}`,
    { next: `Upgrade ${older}.`, data: { host } },
  );
}
