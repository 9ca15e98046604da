/** Watch a host that is back: it must stay well, and visible, for a while. */
import { isVisible } from '@fleet/balancers/balancer.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { StepContext, StepDriver } from '../context.ts';
import { hiddenByFleet, look } from './balancer.ts';
import { checkFailed, runSmoke, seeLog } from './smoke.ts';

/** One look may be unlucky; two in a row are not. */
const UNLUCKY = 1;
const EVERY_MS = 500;

export const settle: StepDriver<'settle'> = {
  kind: 'settle',
  async perform(context) {
    const end = context.deps.clock.now() + context.args.ms;
    let bad = 0;
    for (let looks = 1; ; looks++) {
      const problem = await problemOf(context);
      bad = problem === null ? 0 : bad + 1;
      if (problem !== null && bad > UNLUCKY) throw problem;
      const left = end - context.deps.clock.now();
      if (left <= 0 && bad === 0)
        return {
          outcome: 'ok',
          message: `well for ${context.args.ms / 1000}s, ${looks} look${looks === 1 ? '' : 's'}`,
        };
      context.progress(Math.min(context.args.ms, context.args.ms - left), context.args.ms, 'ms');
      await context.deps.clock.sleep(
        bad > 0 ? EVERY_MS : Math.min(EVERY_MS, Math.max(left, 1)),
        context.signal,
      );
    }
  },
};

async function problemOf(context: StepContext<'settle'>): Promise<FleetError | null> {
  const { server } = context.args;
  const failed = (await runSmoke(context, true)).filter((result) => !result.passed);
  if (failed.length > 0) return checkFailed(context, failed);
  if (server === null) return null;
  // What could not be taken in stays out.
  if (await hiddenByFleet(context)) return null;
  const { me } = await look(context, server);
  // Somebody may take a host out while it settles; that is theirs to do. Down is not.
  if (me.admin !== 'ready' || isVisible(me)) return null;
  return new FleetError('check_failed', `the balancer reports ${server} down again`, {
    next: seeLog(context),
  });
}
