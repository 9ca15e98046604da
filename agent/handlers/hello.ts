/** What the agent says of itself on every new connection, before anything else. */

import { bootId } from '@fleet/process/proc.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { PROTOCOL } from '@fleet/protocol/messages/hello.ts';
import type { ControllerMethods, Request } from '@fleet/protocol/messages/methods.ts';
import { type Labels, OWN } from '@fleet/protocol/words.ts';
import type { Epochs } from '../commands/epochs.ts';
import { freeBytes } from '../disk/room.ts';
import type { Host } from '../host.ts';
import self from '../package.json' with { type: 'json' };
import { homeOf, listReleases, listServices, readCurrent } from '../releases/layout.ts';

export async function sayHello(
  host: Host,
  labels: Labels,
  epochs: Epochs,
): Promise<Request<ControllerMethods, 'hello'>> {
  const services = await listServices(host.root, host.disk);
  return {
    protocol: PROTOCOL,
    agent: host.own.versions[OWN.agent] ?? self.version,
    host: host.name,
    instance: host.instance,
    labels,
    policy: host.policy.told,
    epochs: epochs.highest(),
    platform: `${process.platform}-${process.arch}`,
    bootId: bootId(),
    services: await Promise.all(
      services.map(async (service) => {
        const home = homeOf(host.root, service, host.disk);
        // A directory in the place of `current` is told when something is to be activated.
        const current = await readCurrent(home).catch(() => null);
        return { service, current, releases: (await listReleases(home)).sort() };
      }),
    ),
    trust: host.trust.says(),
    freeDisk: await freeBytes(host.disk, host.root),
  };
}

/** The controller's choice has to be one that this agent speaks, whoever asks for an older one. Throws `version_mismatch`. */
export function requireProtocol(chosen: number): void {
  if (chosen >= PROTOCOL.min && chosen <= PROTOCOL.max) return;
  throw new FleetError(
    'version_mismatch',
    `the controller wants to speak protocol ${chosen}, this agent (fleet ${self.version}) ${PROTOCOL.min} to ${PROTOCOL.max}`,
    { next: 'put a controller and an agent of versions in place that know each other' },
  );
}
