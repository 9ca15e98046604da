/** Show a host again. Done when the balancer itself reports it up, not when it was told to. */
import { isVisible } from '@fleet/balancers/balancer.ts';
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { until } from '../clock.ts';
import type { StepDriver } from '../context.ts';
import { driverOf, hiddenByFleet, look, lookFor } from './balancer.ts';
import { takeIn } from './takeIn.ts';

export const unhide: StepDriver<'unhide'> = {
  kind: 'unhide',
  async perform(context) {
    const { server, timeoutMs } = context.args;
    const { deployment, facts } = context;
    const { driver, backend, name } = driverOf(context);
    if ((await lookFor(context, server).catch(silent)) === undefined) {
      // A reload has forgotten it, or it never was there.
      const { added, message, told } = await takeIn(context, server);
      await context.remember({ told });
      if (!added) return { outcome: 'ok', message };
    }
    const ours = await hiddenByFleet(context);
    let silence: FleetError | undefined;
    // Seen visible, it may yet be hidden by what it was told last and was slow to do: so it is told once in any case.
    let told = !ours;
    const seen = await until(
      context.deps.clock,
      { withinMs: timeoutMs, everyMs: 20, signal: context.signal },
      async () => {
        silence = undefined;
        try {
          const state = await look(context, server);
          if (told && isVisible(state.me)) return state;
          if (state.me.admin !== 'ready' && !ours) return 'not ours';
          if (!told || state.me.admin !== 'ready')
            await passing('controller.unhide_asked', () => driver.set(backend, server, 'ready'));
          told = true;
        } catch (error) {
          silence = silenceOf(error);
        }
        return undefined;
      },
    );
    if (seen === 'not ours') return { outcome: 'ok', message: 'stays hidden, as it was before' };
    if (silence !== undefined) throw silence;
    if (!seen) {
      throw new FleetError(
        'balancer_refused',
        `balancer ${name} was told to show ${server} and does not report it up after ${timeoutMs / 1000}s`,
        {
          next: `look at the balancer’s health check of ${backend}/${server}: the host is well by its own checks, but hidden`,
        },
      );
    }
    await passing('controller.unhide_confirmed', () =>
      context.deps.store.hidden.close(deployment.service, deployment.environment, facts.host),
    );
    return { outcome: 'ok', message: `visible, with ${seen.others} other${seen.others === 1 ? '' : 's'}` };
  },
};

/** One that does not answer now is asked again below. */
function silent(error: unknown): null {
  silenceOf(error);
  return null;
}

/** A balancer that does not answer, or refuses, is asked again while there is time: the host is well, and users wait for it. */
function silenceOf(error: unknown): FleetError {
  if (
    error instanceof FleetError &&
    (error.code === 'balancer_unreachable' || error.code === 'balancer_refused')
  )
    return error;
  throw error;
}
