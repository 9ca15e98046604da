/** Make a version current: a link renamed over `current`. */
import type { StepDriver } from '../context.ts';

export const activate: StepDriver<'activate'> = {
  kind: 'activate',
  async perform(context) {
    const { version, identity } = context.args;
    const { from, changed, switchMs } = await context.ask(
      'release.activate',
      { command: context.command(), service: context.deployment.service, version, identity },
      { timeoutMs: 60_000 },
    );
    return changed
      ? {
          outcome: 'changed',
          message: `current: ${from ?? 'none'} → ${version}, in ${switchMs.toFixed(1)}ms`,
        }
      : { outcome: 'ok', message: `${version} was current already` };
  },
};
