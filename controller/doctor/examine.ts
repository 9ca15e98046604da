/** Everything that can be said of one host, from both ends of its link; nothing is changed. */
import type { ServiceFacts } from '@fleet/protocol/api/doctor.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, warn } from '@fleet/protocol/finding.ts';
import type { MachineFacts } from '@fleet/protocol/messages/host.ts';
import type { Placed } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import { lookAtIdentity, lookAtLink, lookFromHere } from './link.ts';
import { lookAtBalancer, lookAtService } from './services.ts';
import type { Surgery } from './surgery.ts';
import { lookAtVersions } from './versions.ts';

/** A host looks at its disks, its units and its way to the controller. */
const EXAMINE_MS = 30_000;

export interface Examined {
  connected: boolean;
  /** Null where the host does not answer. */
  facts: MachineFacts | null;
  findings: Finding[];
  services: ServiceFacts[];
}

/** `places`: the services that it is looked at for. */
export async function examineHost(
  surgery: Surgery,
  host: HostRecord,
  places: readonly Placed[],
  packages: boolean,
): Promise<Examined> {
  const { agents, store, now } = surgery;
  const connected = agents.isConnected(host.host);
  const identity = lookAtIdentity(host.host, await store.identities.list(), now());
  const findings = connected ? await lookAtLink(surgery, host.host) : await lookFromHere(host);
  if (identity !== undefined) findings.push(identity);
  const out = await store.outHosts.get(host.host);
  if (out !== undefined)
    findings.push(warn('out', `since ${out.since}, by ${out.by}: ${out.why}`, `fleet hosts in ${host.host}`));
  const own = connected ? await askItself(surgery, host, packages) : { facts: null, findings: [] };
  findings.push(...own.findings);
  const services: ServiceFacts[] = [];
  for (const placed of places) {
    if (connected) {
      const { finding, facts } = await lookAtService(surgery, host, placed);
      findings.push(finding);
      services.push(facts);
    }
    const seen = await lookAtBalancer(surgery, host, placed);
    if (seen !== undefined) findings.push(seen);
  }
  return { connected, facts: own.facts, findings, services };
}

async function askItself(
  { agents, programs, version }: Surgery,
  record: HostRecord,
  packages: boolean,
): Promise<Pick<Examined, 'facts' | 'findings'>> {
  const { host } = record;
  try {
    const { facts, findings } = await agents.ask(
      host,
      'host.examine',
      { packages },
      { timeoutMs: EXAMINE_MS },
    );
    const offered = await programs.list().catch(() => []);
    return { facts, findings: [...lookAtVersions(facts, record, offered, version), ...findings] };
  } catch (error) {
    const { code, message, next } = asFleetError(error);
    // Said of the link already.
    if (code === 'unknown_method') return { facts: null, findings: [] };
    return { facts: null, findings: [bad('host', message, next ?? `fleet hosts show ${host}`)] };
  }
}
