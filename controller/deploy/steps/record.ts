/** Ask the agent what really runs, and only then record the version as verified here: the rollback point. */
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { addRollbackPoint, leaveVersion } from '../../store/rollbackPoints.ts';
import type { StepContext, StepDriver } from '../context.ts';
import { seeLog } from './smoke.ts';

export const record: StepDriver<'record'> = {
  kind: 'record',
  async perform(context) {
    const { version, identity, values } = context.args;
    const { deployment, facts } = context;
    const { service, environment } = deployment;
    const report = await context.ask('step.report', { service }, { timeoutMs: 30_000 });
    if (
      report.current !== version ||
      report.running !== version ||
      report.identity !== identity ||
      report.state !== 'running'
    ) {
      throw new FleetError(
        'check_failed',
        `${facts.host} was given ${version} and reports current ${report.current ?? 'none'}, running ${report.running ?? 'none'} (${report.state})`,
        { next: seeLog(context) },
      );
    }
    return {
      outcome: 'ok',
      message: `${version} verified`,
      also: async (trx) => {
        const left = versionLeft(context);
        if (left !== null && left !== version) {
          await leaveVersion(trx, {
            service,
            environment,
            host: facts.host,
            version: left,
            deployment: deployment.id,
          });
        }
        const point = { service, environment, host: facts.host, version, identity, values };
        await passing('controller.rollback_point', () =>
          addRollbackPoint(trx, { ...point, deployment: deployment.id }),
        );
      },
    };
  },
};

/** What this host goes back from: on a way back the deployment's own version, in a rollback what ran before it. */
function versionLeft({ args, deployment, facts }: StepContext<'record'>): string | null {
  if (args.version !== deployment.version) return deployment.version;
  return deployment.kind === 'rollback' ? (facts.prior?.version ?? null) : null;
}
