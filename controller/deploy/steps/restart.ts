/** Stop what runs by its own hooks, start what is current by its own. */
import type { StepDriver } from '../context.ts';
import { keepHidden } from './balancer.ts';

export const restart: StepDriver<'restart'> = {
  kind: 'restart',
  async perform(context) {
    const { version, values, lenientStop } = context.args;
    await keepHidden(context);
    const sent = await context.open(values);
    const { sealed } = await context.release(version);
    const hooks = Object.values(sealed.hooks).reduce((sum, hook) => sum + (hook?.timeout ?? 0), 0);
    const { output, stopMs, startMs } = await context.ask(
      'step.restart',
      { command: context.command(), service: context.deployment.service, version, ...sent, lenientStop },
      // The agent keeps the deadlines of hooks, stop and start; this one only guards against an agent that does not.
      { timeoutMs: hooks * 2 + 300_000 },
    );
    return {
      outcome: 'changed',
      message: `stopped in ${Math.round(stopMs)}ms, started in ${Math.round(startMs)}ms`,
      output: output.text,
    };
  },
};
