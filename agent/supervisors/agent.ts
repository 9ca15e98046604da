/**
 * Fleet's own programs. What runs of them is the one that is asked, and it is started anew by ending: see upgrade/. Nobody comes
 * here by a message; who does is told so.
 */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import type { Instance, Supervisor } from './supervisor.ts';

const refused = async ({ service }: Instance): Promise<never> => {
  throw new FleetError(
    'bad_request',
    `${service} is what runs here: it is neither started nor stopped like a service`,
    {
      next: 'fleet agents upgrade replaces it; systemctl stop fleet-agent on the host ends it',
    },
  );
};

export const agentSupervisor: Supervisor<RunOf<'agent'>> = {
  start: refused,
  stop: refused,
  status: async () => 'unknown',
};
