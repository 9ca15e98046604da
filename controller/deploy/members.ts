/** What `behind.ts` judges by: what was deployed last, as the database has it, and every host of the environment as it is now. */
import { fillTemplate, hostsOf, type Placed } from '../config/config.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { HostRecord } from '../store/hosts.ts';
import type { Last, Member } from './behind.ts';
import type { Deps } from './context.ts';
import { finalReport } from './facts.ts';
import { serversOf } from './gather.ts';
import { settings as settingsForm } from './settings.ts';

type Parts = Pick<Deps, 'agents' | 'balancer' | 'clock' | 'parking' | 'store'>;

/** An agent that does not answer by then is taken by what it said last. */
const REPORT_MS = 5000;

/** The newest deployment that says what the environment is on; undefined where there is none. */
export async function lastOf({ store }: Parts, { service, environment }: Placed): Promise<Last | undefined> {
  const { deployments, steps } = store;
  const record = await deployments.newestPlanned(service, environment);
  if (record === undefined || record.version === null || record.endedAt === null) return undefined;
  const all = await steps.list(record.id);
  const hosts = (await deployments.hosts(record.id)).map(({ host, report }) => {
    const unanswered = all.some((step) => step.host === host && step.outcome === 'unreachable');
    const final = finalReport.safeParse(report).data;
    return [host, { lost: unanswered || final?.known !== true }] as const;
  });
  const asked = record.request as { skipChecks?: string[] };
  return {
    id: record.id,
    service,
    environment,
    version: record.version,
    succeeded: record.state === 'succeeded',
    startedAt: record.startedAt,
    endedAt: record.endedAt,
    onFailure: settingsForm.parse(record.settings).strategy.on_failure,
    skipChecks: asked.skipChecks ?? [],
    hosts: new Map(hosts),
    passedBy: new Map((await deployments.passedBy(record.id)).map(({ host, reason }) => [host, reason])),
  };
}

export async function membersOf(parts: Parts, placed: Placed, last: Last): Promise<Member[]> {
  const { agents, store } = parts;
  const { service, environment } = placed;
  const hosts = hostsOf(placed, await store.hosts.list());
  const points = await store.rollbackPoints.list(service, environment);
  const hidden = (await store.hidden.list()).filter(
    (record) => record.service === service && record.environment === environment,
  );
  const out = new Set((await store.outHosts.list()).map((each) => each.host));
  const servers = await serversOf(parts, placed);
  const tries = await store.deployments.catchUps(service, environment, last.id);
  return Promise.all(
    hosts.map(async (record): Promise<Member> => {
      const { host, since, letIn } = record;
      const point = points.find((found) => found.host === host);
      const server = serverOf(placed, record);
      return {
        host,
        since,
        letIn,
        isOut: out.has(host),
        connected: agents.isConnected(host),
        current: await currentOf(parts, service, record),
        verified: point === undefined || point.leftBy !== null ? null : point,
        hidden: hidden.find((found) => found.host === host)?.reason ?? null,
        absent: servers !== null && server !== undefined && !servers.includes(server),
        tries: await endsOf(
          parts,
          tries.filter((found) => hostsAsked(found).includes(host)),
          host,
        ),
      };
    }),
  );
}

/** A host without the label that its server is named by keeps no other from being judged. */
function serverOf({ balancer }: Placed, host: HostRecord): string | undefined {
  try {
    return balancer && fillTemplate(balancer.server, host);
  } catch {
    return undefined;
  }
}

/** The hosts that a deployment was asked for by name. */
export function hostsAsked({ request }: DeploymentRecord): string[] {
  return (request as { hosts?: string[] }).hosts ?? [];
}

async function endsOf(
  { store }: Parts,
  tries: readonly DeploymentRecord[],
  host: string,
): Promise<Member['tries']> {
  const ended = tries.filter(({ endedAt }) => endedAt !== null);
  return Promise.all(
    ended.map(async ({ id, state, startedAt, endedAt }) => {
      const steps = state === 'succeeded' ? [] : await store.steps.list(id);
      const failed = steps.some((step) => step.host === host && step.outcome === 'failed');
      const end = state === 'succeeded' ? 'well' : failed ? 'failed' : 'not begun';
      return { id, startedAt, endedAt: endedAt!, end };
    }),
  );
}

async function currentOf(
  { agents }: Parts,
  service: string,
  { host, services }: HostRecord,
): Promise<string | null> {
  const said = services.find((each) => each.service === service)?.current ?? null;
  if (!agents.isConnected(host)) return said;
  return agents.ask(host, 'step.report', { service }, { timeoutMs: REPORT_MS }).then(
    ({ current }) => current,
    () => said,
  );
}
