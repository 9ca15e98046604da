/** Take a host out of the balancer, so that no new request reaches it. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { StepContext, StepDriver } from '../context.ts';
import { driverOf, hideMemo, lookFor, setAndReadBack } from './balancer.ts';
import { takeIn } from './takeIn.ts';

export const hide: StepDriver<'hide'> = {
  kind: 'hide',
  perform(context) {
    const { backend, name } = driverOf(context);
    // Between counting who is left and hiding this one, no other host of the backend may be hidden.
    return context.deps.turns.take(`${name}/${backend}`, () => hideNow(context));
  },
};

async function hideNow(context: StepContext<'hide'>) {
  const { server, minVisible } = context.args;
  const found = await lookFor(context, server);
  if (found === undefined) {
    // Before the act: on a second try it is there, in maintenance, and it was not somebody else who put it there.
    await context.remember({ foreign: false });
    const { message, told } = await takeIn(context, server);
    await context.remember({ foreign: false, told });
    return { outcome: 'changed' as const, message };
  }
  const { me, others } = found;
  // On a second try the server is hidden because the first one did it: what was before is what was remembered.
  const earlier = hideMemo.safeParse(context.memo);
  const memo = earlier.success
    ? earlier.data
    : { foreign: me.admin !== 'ready' && !context.facts.hiddenByFleet };
  if (!earlier.success) await context.remember(memo);
  if (memo.foreign) {
    return {
      outcome: 'ok' as const,
      message: `was ${me.admin === 'maint' ? 'in maintenance' : 'draining'} already, not by fleet: stays so`,
    };
  }
  if (me.admin === 'ready' && me.up && others < minVisible) throw tooFew(context, others);
  await context.deps.store.hidden.open({
    service: context.deployment.service,
    environment: context.deployment.environment,
    host: context.facts.host,
    deployment: context.deployment.id,
    reason: `hidden by deployment ${context.deployment.id}`,
  });
  if (me.admin === 'ready') await setAndReadBack(context, server, 'drain');
  return { outcome: 'ok' as const, message: `hidden, ${others} other${others === 1 ? '' : 's'} visible` };
}

function tooFew({ args, deployment }: StepContext<'hide'>, others: number): FleetError {
  return new FleetError(
    'min_visible',
    `hiding ${args.server} would leave ${others} visible in the balancer, and min_visible is ${args.minVisible}`,
    {
      next:
        `bring the other hosts of ${deployment.service} back first, or write for ${deployment.environment} in controller.yaml:\n` +
        `strategy: { min_visible: ${others} }`,
    },
  );
}
