/** Make a version current: a link renamed over `current`. */
import { passing } from '@fleet/process/points.ts';
import type { StepDriver } from '../context.ts';
import { keepHidden } from './balancer.ts';

export const activate: StepDriver<'activate'> = {
  kind: 'activate',
  async perform(context) {
    const { version, identity } = context.args;
    await keepHidden(context);
    const { service } = context.deployment;
    const request = { command: context.command(), service, version, identity };
    const { answer } = await passing('controller.activate_sent', () => ({
      answer: context.ask('release.activate', request, { timeoutMs: 60_000 }),
    }));
    const { from, changed, switchMs } = await passing('controller.activate_acked', () => answer);
    return changed
      ? {
          outcome: 'changed',
          message: `current: ${from ?? 'none'} → ${version}, in ${switchMs.toFixed(1)}ms`,
        }
      : { outcome: 'ok', message: `${version} was current already` };
  },
};
