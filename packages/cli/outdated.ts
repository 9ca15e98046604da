/** Which hosts run another agent, or another Node, than the newest that the controller has. */
import type { HostRow } from '@fleet/protocol/api/fleet.ts';
import type { Program } from '@fleet/protocol/api/programs.ts';
import { OWN, type OwnService } from '@fleet/protocol/words.ts';

/** What a host runs of fleet's own, by its own word. */
export function runs({ agent, services }: HostRow, service: OwnService): string | null {
  const current = services.find((each) => each.service === service)?.current ?? null;
  // What the agent says is what runs; the link may have been switched since.
  return service === OWN.agent && current !== null ? agent : current;
}

/** Installed as fleet does it: only then there is something to put another one in its place. */
export function isReplaceable(host: HostRow): boolean {
  return Object.values(OWN).every((service) => runs(host, service) !== null);
}

/** The newest for this host; null where the controller has none for its platform. */
export function newest(
  { platform }: Pick<HostRow, 'platform'>,
  service: OwnService,
  programs: Program[],
): string | null {
  const fits = (program: Program) => program.service === service && isFor(program.platform, platform);
  return programs.find(fits)?.version ?? null;
}

/** `linux` runs on `linux-x64` and `linux-arm64`. */
function isFor(program: string, host: string): boolean {
  return program === host || host.startsWith(`${program}-`);
}

/** One deployment: a version, and the hosts that have another one. */
export interface Upgrade {
  service: OwnService;
  version: string;
  hosts: string[];
}

/** In the order in which they go out: Node first, so that a new agent finds the Node that it came with. */
export function upgradesOf(hosts: readonly HostRow[], programs: Program[]): Upgrade[] {
  return [OWN.node, OWN.agent].flatMap((service) => {
    const wanting = new Map<string, string[]>();
    for (const host of hosts) {
      const version = newest(host, service, programs);
      if (version === null || runs(host, service) === version) continue;
      wanting.set(version, [...(wanting.get(version) ?? []), host.host]);
    }
    return [...wanting].map(([version, names]) => ({ service, version, hosts: names }));
  });
}
