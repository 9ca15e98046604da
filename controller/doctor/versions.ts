/** Which fleet and which Node run there, beside what this controller came with. */
import type { Program } from '@fleet/protocol/api/programs.ts';
import { type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { PROTOCOL } from '@fleet/protocol/messages/hello.ts';
import type { MachineFacts } from '@fleet/protocol/messages/host.ts';
import { OWN } from '@fleet/protocol/words.ts';
import type { HostRecord } from '../store/hosts.ts';

export function lookAtVersions(
  facts: MachineFacts,
  { services, platform }: Pick<HostRecord, 'services' | 'platform'>,
  programs: readonly Program[],
  controller: string,
): Finding[] {
  const { agent, node, protocol, distribution, kernel, libc } = facts;
  const findings = [ok('machine', `${distribution}, ${facts.platform}, kernel ${kernel}, ${libc}`)];
  const spoken = `protocol ${protocol.max} of ${PROTOCOL.min} to ${PROTOCOL.max}`;
  const says = `agent ${agent}, Node ${node}, controller ${controller}, ${spoken}`;
  const older = Object.values(OWN).flatMap((service) => {
    const here = services.find((each) => each.service === service)?.current;
    const newest = programs
      .filter((each) => each.service === service && isFor(each.platform, platform))
      .at(-1);
    return newest === undefined || here == null || here === newest.version
      ? []
      : [`${service} is ${here}, and ${newest.version} came with this controller`];
  });
  findings.push(
    older.length > 0
      ? warn('versions', `${says}; ${older.join('; ')}`, 'fleet agents upgrade')
      : ok('versions', says),
  );
  return findings;
}

/** `linux` runs on every Linux. */
function isFor(program: string, platform: string): boolean {
  return platform === program || platform.startsWith(`${program}-`);
}
