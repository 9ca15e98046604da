/** What hosts say that they do not take is refused before anything is planned. They refuse it themselves, whatever is thought here. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { fits } from '@fleet/protocol/policy.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import type { Agents } from './context.ts';

/** Throws `policy_refused`, naming every host that does not take this service. */
export function checkPolicies(
  agents: Pick<Agents, 'policyOf'>,
  service: string,
  hosts: ReadonlyArray<{ host: string }>,
): void {
  const refusing = hosts.flatMap(({ host }) => {
    const policy = agents.policyOf(host);
    if (policy === undefined) return [];
    if (isOwn(service))
      return policy.upgrades === false ? [{ host, why: 'does not let its agent be replaced' }] : [];
    if (!fits(policy.services, service))
      return [{ host, why: `takes only ${policy.services.join(', ') || 'nothing'}` }];
    const known = Object.hasOwn(policy.runAs, service) || Object.hasOwn(policy.runAs, '*');
    return known ? [] : [{ host, why: 'does not say as which user it runs' }];
  });
  if (refusing.length === 0) return;
  const told = refusing.map(({ host, why }) => `${host} ${why}`);
  const keys = isOwn(service) ? '`upgrades`' : '`services` or `run_as`';
  throw new FleetError(
    'policy_refused',
    `${service} is not for these hosts, by their own agent.yaml: ${told.join('; ')}`,
    {
      next: `fleet hosts show ${refusing[0]!.host} has all of it; write ${keys} below \`policy\` in agent.yaml there, and start its agent again.`,
      data: { hosts: refusing.map(({ host }) => host) },
    },
  );
}
