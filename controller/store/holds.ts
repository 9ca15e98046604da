/**
 * While fleet itself is replaced on a host nothing else is deployed there, and nothing replaces it while something is. Who holds
 * a host stands in the database, so a controller that starts in between knows it, too.
 */
import { FleetError } from '@fleet/protocol/errors.ts';
import { isOwn, OWN } from '@fleet/protocol/words.ts';
import type { Kysely } from 'kysely';
import type { Tables } from './tables.ts';

export interface Wanted {
  service: string;
  hosts: readonly string[];
  /** The deployment that wants them, where it has a number. */
  deployment?: number;
}

/** The error that says who has one of these hosts; undefined where nobody is in the way. */
export async function whoHolds(
  db: Kysely<Tables>,
  { service, hosts, deployment = 0 }: Wanted,
): Promise<FleetError | undefined> {
  let query = db
    .selectFrom('locks')
    .innerJoin('deployment_hosts', 'deployment_hosts.deployment', 'locks.deployment')
    .select([
      'deployment_hosts.host',
      'locks.deployment',
      'locks.service',
      'locks.environment',
      'locks.owner',
    ])
    .where('locks.deployment', '!=', deployment)
    .where('deployment_hosts.host', 'in', [...hosts])
    .orderBy('locks.deployment');
  if (!isOwn(service)) query = query.where('locks.service', 'in', Object.values(OWN));
  const held = await query.executeTakeFirst();
  if (held === undefined) return undefined;
  const { host, deployment: id } = held;
  const by = isOwn(held.service)
    ? `fleet itself is being replaced on ${host} (deployment ${id} of ${held.owner})`
    : `${held.service} in ${held.environment} is being deployed to ${host} by ${held.owner} (deployment ${id})`;
  return new FleetError(
    'host_busy',
    `${by}: ${isOwn(service) ? 'its agent is not replaced' : 'nothing else is deployed there'} meanwhile`,
    { next: `fleet attach ${id} to watch it, then the same again`, data: { host, deployment: id } },
  );
}
