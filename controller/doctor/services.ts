/** What a host has of each service that it is for: the version of its environment, running, and in the balancer. */
import { isVisible } from '@fleet/balancers/balancer.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { fillTemplate, type Placed } from '../config/config.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { Surgery } from './surgery.ts';

const REPORT_MS = 5000;

export async function lookAtService(
  surgery: Surgery,
  { host }: HostRecord,
  { service, environment }: Placed,
): Promise<Finding> {
  const about = `service ${service}`;
  const wanted = await versionOf(surgery, service, environment);
  const deploy = `fleet deploy ${service} -e ${environment} --host ${host}${wanted === undefined ? '' : ` --version ${wanted}`}`;
  let report: Awaited<ReturnType<typeof ask>>;
  try {
    report = await ask();
  } catch (error) {
    const { message, next } = asFleetError(error);
    return bad(about, `${environment}: ${message}`, next ?? `fleet logs ${service} --host ${host}`);
  }
  const { running, current, state } = report;
  if (current === null && running === null)
    return wanted === undefined
      ? ok(about, `${environment}: not deployed anywhere yet`)
      : bad(about, `${environment} is on ${wanted}, and it is not on this host`, deploy);
  const says = `${environment}: ${running ?? 'nothing'} ${running === null ? `runs (${state})` : state}`;
  if (running !== current) return bad(about, `${says}, and current is ${current ?? 'nothing'}`, deploy);
  if (state !== 'running') return bad(about, says, `fleet logs ${service} --host ${host}`);
  if (wanted !== undefined && running !== wanted)
    return bad(about, `${says}, and ${environment} is on ${wanted}`, deploy);
  return ok(about, says);

  function ask() {
    return surgery.agents.ask(host, 'step.report', { service }, { timeoutMs: REPORT_MS });
  }
}

/** What the newest deployment that succeeded has left there. */
async function versionOf(
  { store }: Surgery,
  service: string,
  environment: string,
): Promise<string | undefined> {
  const newest = await store.deployments.list({ service, environment, limit: 50 });
  return newest.find(({ state }) => state === 'succeeded')?.version ?? undefined;
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
