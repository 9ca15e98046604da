/** The version's own smoke checks, on the host, before users come back to it. */
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { CheckResult } from '@fleet/protocol/messages/check.ts';
import type { StepContext, StepDriver } from '../context.ts';

export const smoke: StepDriver<'smoke'> = {
  kind: 'smoke',
  async perform(context) {
    const { checked } = await passing('controller.smoke_begin', () => ({
      checked: runSmoke(context, false),
    }));
    const results = await passing('controller.smoke_result', () => checked);
    const failed = results.filter((result) => !result.passed);
    if (failed.length > 0) throw checkFailed(context, failed);
    const told = [
      ...results.map((result) => `${result.name} passed`),
      ...context.args.skip.map((name) => `${name} skipped`),
    ];
    return { outcome: 'ok', message: told.join(', ') || 'no checks' };
  },
};

type Checked = Pick<
  StepContext<'smoke' | 'settle'>,
  'args' | 'ask' | 'open' | 'release' | 'deployment' | 'facts'
>;

export async function runSmoke(context: Checked, onceOnly: boolean): Promise<CheckResult[]> {
  const { version, values, skip } = context.args;
  const sent = await context.open(values);
  const { sealed } = await context.release(version);
  const longest = Math.max(0, ...sealed.smoke.map((check) => check.within + check.timeout));
  const { results } = await context.ask(
    'check.smoke',
    { service: context.deployment.service, version, ...sent, skip, onceOnly },
    { timeoutMs: longest + 30_000 },
  );
  return results;
}

export function checkFailed(
  context: Pick<Checked, 'args' | 'deployment' | 'facts'>,
  failed: readonly CheckResult[],
): FleetError {
  const first = failed[0]!;
  const tries = first.tries === 1 ? '1 try' : `${first.tries} tries`;
  return new FleetError(
    'check_failed',
    `${context.args.version}: ${first.name} did not pass in ${(first.ms / 1000).toFixed(1)}s, ${tries}: ${first.detail}`,
    {
      next: seeLog(context),
      data: { output: failed.map((result) => `${result.name}: ${result.detail}`).join('\n') },
    },
  );
}

/** The command that shows what the service itself says. */
export function seeLog({ deployment, facts }: Pick<StepContext, 'deployment' | 'facts'>): string {
  return `fleet logs ${deployment.service} --host ${facts.host}`;
}
