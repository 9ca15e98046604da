/** Run a once step, such as a migration, on the one host that runs it. The agent sees to it that it runs once. */
import type { StepDriver } from '../context.ts';

export const once: StepDriver<'once'> = {
  kind: 'once',
  async perform(context) {
    const { version, name, values } = context.args;
    const sent = await context.open(values);
    const { sealed } = await context.release(version);
    const timeout = sealed.once.find((each) => each.name === name)?.timeout ?? 0;
    const command = context.command();
    const { output, ms } = await context.ask(
      'step.once',
      { command, service: context.deployment.service, version, name, ...sent },
      // The agent ends it at its own deadline; this one only guards against an agent that does not.
      { timeoutMs: timeout + 60_000 },
    );
    if (command.decisions?.some(({ part, take }) => part === name && take === 'done'))
      return {
        outcome: 'ok',
        message: `${name} counts as done: it was interrupted, and skipped by a person`,
      };
    return { outcome: 'changed', message: `${name} ran in ${(ms / 1000).toFixed(1)}s`, output: output.text };
  },
};
