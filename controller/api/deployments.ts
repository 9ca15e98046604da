import { readFile } from 'node:fs/promises';
import { mayAct } from '@fleet/protocol/access.ts';
import type { DeploymentRow, StepRow } from '@fleet/protocol/api/deployments.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import { checkNames } from '../config/config.ts';
import { computeRecap } from '../deploy/finish.ts';
import { outputPath } from '../deploy/perform.ts';
import type { Person } from '../people/people.ts';
import type { DeploymentRecord } from '../store/deployments.ts';
import type { StepRecord } from '../store/steps.ts';
import type { Handlers, Served } from './handlers.ts';

export function deployments({
  deployer,
  config,
  store,
  outputs,
}: Served): Handlers<
  | 'plans.make'
  | 'deployments.start'
  | 'deployments.rollback'
  | 'deployments.list'
  | 'deployments.show'
  | 'deployments.pause'
  | 'deployments.resume'
  | 'deployments.abort'
  | 'deployments.skip'
  | 'deployments.retry'
  | 'deployments.output'
> {
  return {
    'plans.make': ({ body }) => deployer.plan(body),
    'deployments.start': async ({ body, by, who }) => {
      requireAdmin(who, body);
      return { id: await deployer.start(body, by) };
    },
    'deployments.rollback': async ({ body, by, who }) => {
      requireAdmin(who, body);
      return { id: await deployer.rollback(body, by) };
    },
    'deployments.list': async ({ query, who }) => {
      const records = await store.deployments.list({ ...query, scope: who });
      // What was deployed once has its history, also where it is not configured any more.
      if (records.length === 0) checkNames(config, query);
      return Promise.all(
        records.map(async (record) => row(record, (await store.deployments.hosts(record.id)).length)),
      );
    },
    'deployments.show': async ({ params: { id } }) => {
      const record = await store.deployments.get(id);
      const steps = await store.steps.list(id);
      const hosts = await store.deployments.hosts(id);
      return {
        deployment: row(record, hosts.length),
        steps: steps.map(stepRow),
        recap: await computeRecap(id, { store }),
      };
    },
    'deployments.pause': async ({ params: { id }, body, by }) => ({
      state: await deployer.pause(id, by, body.why),
    }),
    'deployments.resume': async ({ params: { id }, body, by }) => ({
      state: await deployer.resume(id, by, body.why),
    }),
    'deployments.abort': async ({ params: { id }, body, by }) => ({
      state: await deployer.abort(id, by, body.why),
    }),
    'deployments.skip': async ({ params: { id }, body, by }) => ({
      state: await deployer.skip(id, by, body),
    }),
    'deployments.retry': async ({ params: { id }, body, by, who }) => {
      requireAdmin(who, await store.deployments.get(id));
      return { id: await deployer.retry(id, by, body) };
    },
    'deployments.output': async ({ params: { id, step } }) => {
      await store.deployments.get(id);
      return { text: await readFile(outputPath(outputs, id, step), 'utf8').catch(() => '') };
    },
  };
}

/** Fleet itself is for those who let hosts in. Throws `forbidden`. */
function requireAdmin({ name, role }: Person, { service }: { service: string }): void {
  if (!isOwn(service) || mayAct(role, 'admin')) return;
  throw new FleetError(
    'forbidden',
    `${name} is ${role}: ${service} is fleet itself, which an admin alone replaces`,
    {
      next: 'ask somebody who is admin: fleet agents upgrade',
    },
  );
}

function row(record: DeploymentRecord, hosts: number): DeploymentRow {
  const { id, kind, service, environment, version, state, by, why, startedAt, endedAt, exit } = record;
  return { id, kind, service, environment, version, state, by, why, startedAt, endedAt, exit, hosts };
}

function stepRow(record: StepRecord): StepRow {
  const { step, phaseName: phase, host, kind, rescue, state, outcome, says, message, startedAt, ms } = record;
  return { step, phase, host, kind, rescue, state, outcome, says, message, startedAt, ms };
}
