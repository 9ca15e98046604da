/** What a host has of each service that it is for: the version of its environment, running, and in the balancer. */
import { isVisible } from '@fleet/balancers/balancer.ts';
import type { ServiceFacts } from '@fleet/protocol/api/doctor.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import type { AgentMethods, Reply } from '@fleet/protocol/messages/methods.ts';
import { fillTemplate, type Placed } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { Surgery } from './surgery.ts';

const REPORT_MS = 5000;

export interface Seen {
  finding: Finding;
  facts: ServiceFacts;
}

export async function lookAtService(surgery: Surgery, { host }: HostRecord, placed: Placed): Promise<Seen> {
  const { service, environment } = placed;
  const wanted = await surgery.catchUp.versionOf(placed);
  const facts: ServiceFacts = { service, environment, wanted, running: null };
  try {
    const report = await surgery.agents.ask(host, 'step.report', { service }, { timeoutMs: REPORT_MS });
    const found = judge(host, facts, report);
    const standing = surgery.catchUp.standingOf(placed, host)?.standing;
    const finding =
      found.level === 'ok' && standing?.state === 'behind'
        ? warn(found.about, `${found.says}, and it is behind: ${standing.why}`, standing.next)
        : found;
    return { finding, facts: { ...facts, running: report.running } };
  } catch (error) {
    const { message, next } = asFleetError(error);
    const logs = `fleet logs ${service} --host ${host}`;
    return { finding: bad(`service ${service}`, `${environment}: ${message}`, next ?? logs), facts };
  }
}

function judge(
  host: string,
  { service, environment, wanted }: ServiceFacts,
  { running, current, state }: Reply<AgentMethods, 'step.report'>,
): Finding {
  const about = `service ${service}`;
  const version = wanted === null ? '' : ` --version ${wanted}`;
  const deploy = `fleet deploy ${service} -e ${environment} --host ${host}${version}`;
  if (current === null && running === null)
    return wanted === null
      ? ok(about, `${environment}: not on this host, and nobody says that it should be`)
      : bad(about, `${environment} is on ${wanted}, and it is not on this host`, deploy);
  const says = `${environment}: ${running ?? 'nothing'} ${running === null ? `runs (${state})` : state}`;
  if (running !== current) return bad(about, `${says}, and current is ${current ?? 'nothing'}`, deploy);
  if (state !== 'running') return bad(about, says, `fleet logs ${service} --host ${host}`);
  if (wanted !== null && running !== wanted)
    return bad(about, `${says}, and ${environment} is on ${wanted}`, deploy);
  return ok(about, says);
}

/** Undefined for a service without users. */
export async function lookAtBalancer(
  { balancer, store }: Surgery,
  host: HostRecord,
  { balancer: behind, service, environment }: Placed,
): Promise<Finding | undefined> {
  if (behind === undefined) return undefined;
  const about = `balancer ${behind.name}`;
  const shows = `fleet deploy ${service} -e ${environment} --host ${host.host}`;
  try {
    const name = fillTemplate(behind.server, host);
    const server = (await balancer(behind.name).servers(behind.backend)).find((each) => each.name === name);
    if (server === undefined)
      return bad(
        about,
        `${behind.backend} has no server ${name}: users do not reach ${service} here`,
        `add the server ${name} to ${behind.backend} in its configuration`,
      );
    const hidden = (await store.hidden.list()).find(
      (each) => each.host === host.host && each.service === service && each.environment === environment,
    );
    if (hidden !== undefined)
      return warn(about, `${name} is hidden: ${hidden.reason}, since ${hidden.since}`, shows);
    if (server.admin !== 'ready')
      return warn(
        about,
        `${name} is hidden (${server.admin}), and not by fleet`,
        `${shows}, or ask who hid it`,
      );
    if (!isVisible(server))
      return bad(
        about,
        `${name} is down: its health check fails`,
        `fleet logs ${service} --host ${host.host}`,
      );
    return ok(about, `${name} of ${behind.backend} is visible, ${server.sessions} sessions`);
  } catch (error) {
    const { message, next } = asFleetError(error);
    return bad(about, message, next ?? 'fleet status');
  }
}
