/** What `plan`, `deploy` and `rollback` send, from their options. */
import type { PlanRequest } from '@fleet/protocol/api/plans.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Reasons, Rolling, Targets } from './flags.ts';

type Deploying = Targets & Rolling & Reasons & { version?: string; ref?: string };

export function planRequestOf(service: string, options: Deploying): PlanRequest {
  return {
    ...targetOf(service, options),
    version: options.version,
    ref: options.ref,
    batch: options.serial ? ['1'] : options.batch,
    soak: options.soak,
  };
}

/** Throws `bad_request` where a check is to be left out and nothing says why. */
export function targetOf(service: string, options: Targets & Reasons) {
  const skipChecks = options.skipCheck ?? [];
  if (skipChecks.length > 0 && !options.message)
    throw new FleetError('bad_request', '--skip-check needs a reason', {
      next: `say why: --skip-check ${skipChecks.join(',')} -m "the check asks for a page that 1.4 no longer has"`,
    });
  return {
    service,
    environment: options.environment,
    hosts: options.host,
    roles: options.role,
    skipChecks,
    why: options.message,
  };
}
