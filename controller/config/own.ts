/**
 * Fleet's own programs as services: they are on every host, in an environment of their own that stands in no controller.yaml, and go
 * out by the same deployments as everything else.
 */
import { type Placement, strategy } from '@fleet/config/controller.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { OWN_ENVIRONMENT, type OwnService } from '@fleet/protocol/words.ts';

/** Releases of them that stay on a host: a Node is 100 MB. */
export const OWN_KEEP = 3;

/** A trial may take a minute, and what ends and starts around it half of one: so long a host is waited for. */
const STRATEGY = { batch: ['1', '5', '20%'], patience: '150s', settle: '2s' };

/** Throws `unknown_environment`. */
export function ownPlacement(
  service: OwnService,
  environment: string = OWN_ENVIRONMENT,
): Placement & { service: string; environment: string } {
  if (environment === OWN_ENVIRONMENT)
    return { service, environment, hosts: {}, strategy: strategy.parse(STRATEGY), values: {} };
  throw new FleetError(
    'unknown_environment',
    `${service} is fleet’s own: it is in no environment of controller.yaml, but on every host`,
    { next: 'leave the environment out' },
  );
}
