/** Which hosts a deployment is for: the environment's, by label, less those that `--host` and `--role` leave out. */
import { matchesGlob } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { hostsOf, type LabelledHost, type Placed } from '../config/config.ts';

export interface Asked {
  hosts?: readonly string[] | undefined;
  roles?: readonly string[] | undefined;
}

/** In the order in which they are deployed. Throws `no_hosts`, and `unknown_host` for a pattern that fits none. */
export function selectHosts<H extends LabelledHost>(placed: Placed, known: readonly H[], asked: Asked): H[] {
  const all = hostsOf(placed, known);
  const labels = Object.entries(placed.hosts).map(([name, value]) => `${name}=${value}`);
  if (all.length === 0) {
    throw new FleetError(
      'no_hosts',
      `no host has the labels ${labels.join(' ')}, which ${placed.service} in ${placed.environment} asks for`,
      {
        next: `fleet hosts shows the hosts and their labels, also when one that was just started has connected; start an agent with --label ${labels.join(' --label ')}`,
      },
    );
  }
  for (const pattern of asked.hosts ?? []) {
    if (all.some(({ host }) => matchesGlob(host, pattern))) continue;
    throw new FleetError(
      'unknown_host',
      `no host of ${placed.service} in ${placed.environment} is named ${pattern}`,
      {
        next: `its hosts are ${all.map(({ host }) => host).join(', ')}`,
      },
    );
  }
  const selected = all.filter(
    ({ host, labels }) =>
      (asked.hosts === undefined || asked.hosts.some((pattern) => matchesGlob(host, pattern))) &&
      (asked.roles === undefined || asked.roles.includes(labels.role ?? '')),
  );
  if (selected.length === 0) {
    throw new FleetError(
      'no_hosts',
      `no host of ${placed.service} in ${placed.environment} has the role ${asked.roles?.join(' or ')}`,
      {
        next: 'fleet hosts shows the hosts and their labels',
      },
    );
  }
  return selected;
}
