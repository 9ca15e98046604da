/** The end of a deployment: what every agent itself says, the recap, old releases removed, and the lock freed last. */
import { randomUUID } from 'node:crypto';
import { passing } from '@fleet/process/points.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Deps } from './context.ts';
import type { Course } from './course.ts';
import { type FinalReport, finalReport, hostFacts } from './facts.ts';
import { Parked } from './parked.ts';
import { patiently } from './perform.ts';
import { whenPresent } from './presence.ts';
import { previousGood } from './previous.ts';
import { type RecapInput, recapOf } from './recap.ts';

const REPORT_MS = 10_000;

export async function finish(course: Course): Promise<void> {
  const { deps } = course;
  const { id } = course.deployment;
  await deps.store.steps.skipPending(id);
  await Promise.all(
    course.hosts.map(async ({ host }) => {
      const report = await reportOf(course, host);
      await passing('controller.host_result', () => deps.store.deployments.saveReport(id, host, report));
      if (report.known) await deps.store.hosts.reported(host, course.deployment.service, report.current);
    }),
  );
  if (deps.parking.aborted) throw new Parked();
  await prune(course);
  await endWithRecap(id, deps);
}

/** Ends a deployment, planned or not, with its recap and exit status. */
export async function endWithRecap(id: number, deps: Pick<Deps, 'store'>): Promise<void> {
  const recap = await passing('controller.recap', () => computeRecap(id, deps, { ending: true }));
  const { state, exit } = recap;
  await passing('controller.lock_end', () =>
    deps.store.deployments.end(id, { state, exit }, { type: 'deployment.ended', recap }),
  );
}

/** The recap as it stands now: for a deployment that has ended, as it ended. */
export async function computeRecap(
  id: number,
  { store }: Pick<Deps, 'store'>,
  { ending } = { ending: false },
): Promise<Recap> {
  return recapOf({ ...(await recapInput(id, store)), ending });
}

export async function recapInput(id: number, store: Deps['store']): Promise<RecapInput> {
  const deployment = await store.deployments.get(id);
  const { service, version } = deployment;
  const artifact = version === null ? undefined : await store.artifacts.byVersion(service, version);
  const hosts = await store.deployments.hosts(id);
  return {
    deployment,
    hosts: hosts.map(({ facts, report }) => ({
      facts: hostFacts.parse(facts),
      report: report === null ? null : finalReport.parse(report),
    })),
    steps: await store.steps.list(id),
    interruptions: await store.interruptions.list(id),
    passedBy: await store.deployments.passedBy(id),
    identity: artifact?.identity ?? null,
    now: new Date(),
    ending: false,
  };
}

/** A host that a step has waited for in vain is not waited for again. */
async function reportOf(course: Course, host: string): Promise<FinalReport> {
  const { deployment, deps, settings, steps } = course;
  const { service, environment } = deployment;
  const givenUp = steps.some((step) => step.host === host && step.outcome === 'unreachable');
  const hidden = await deps.store.hidden.has(service, environment, host);
  try {
    const report = await patiently(deps, host, givenUp ? 0 : settings.strategy.patience, async () => {
      await whenPresent(deps, host);
      const timing = { timeoutMs: REPORT_MS, signal: deps.parking };
      return deps.agents.ask(host, 'step.report', { service }, timing);
    });
    const { current, running, identity, state } = report;
    return { known: true, current, running, identity, state, hidden };
  } catch (error) {
    return { known: false, why: asFleetError(error).message, hidden };
  }
}

/** Old releases go once the new one is verified. A host where that fails keeps them, which harms nothing. */
async function prune({ deployment, deps, hosts, settings, steps }: Course): Promise<void> {
  const verified = hosts.filter(({ host }) =>
    steps.some((step) => step.host === host && step.kind === 'record' && step.outcome === 'ok'),
  );
  const points = await deps.store.rollbackPoints.list(deployment.service, deployment.environment);
  await Promise.all(
    verified.map(async ({ host, prior }) => {
      // Versions that were activated since and failed must not push out the one that a rollback goes to.
      const [now, ...earlier] = points.filter((point) => point.host === host).map(({ version }) => version);
      const before = earlier.find((version) => version !== now);
      const next = previousGood(points, new Map([[host, now ?? null]]));
      const protect = [deployment.version, prior?.version, now, before, next].filter(
        (version) => version !== null && version !== undefined,
      );
      const command = {
        id: `${deps.store.fleet}:${deployment.id}:prune:${randomUUID()}`,
        fleet: deps.store.fleet,
        epoch: deps.store.epoch,
        why: `deployment ${deployment.id}`,
      };
      const body = { command, service: deployment.service, keep: settings.keep, protect };
      await deps.agents
        .ask(host, 'release.prune', body, { timeoutMs: 60_000, signal: deps.parking })
        .catch((error: unknown) => {
          deps.log.warn({ err: error, host, deployment: deployment.id }, 'old releases were not removed');
        });
    }),
  );
}
