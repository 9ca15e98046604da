/** Let the sessions that are open end, then take the host out altogether. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { until } from '../clock.ts';
import type { StepDriver } from '../context.ts';
import { hiddenByFleet, look, lookFor, setAndReadBack } from './balancer.ts';

export const drain: StepDriver<'drain'> = {
  kind: 'drain',
  async perform(context) {
    const { server, timeoutMs, onTimeout } = context.args;
    const first = await lookFor(context, server);
    if (first === undefined) return { outcome: 'ok', message: 'not in the balancer: no session open' };
    if (first.me.admin === 'ready') {
      throw new FleetError(
        'balancer_refused',
        `${server} was hidden and is visible again: something else shows it`,
        {
          next: 'find out what else sets this server, then deploy again',
        },
      );
    }
    const ended = await until(
      context.deps.clock,
      { withinMs: timeoutMs, everyMs: 25, signal: context.signal },
      async () => {
        const { me } = await look(context, server);
        if (me.sessions > 0) context.progress(me.sessions, first.me.sessions, 'sessions open');
        return me.sessions === 0 ? true : undefined;
      },
    );
    const left = ended ? 0 : (await look(context, server)).me.sessions;
    if (left > 0 && onTimeout === 'fail') {
      throw new FleetError(
        'drain_timeout',
        `${left} session${left === 1 ? ' is' : 's are'} still open on ${server} after ${timeoutMs / 1000}s`,
        {
          next: 'wait for them, raise strategy.drain, or allow strategy.on_drain_timeout: go_on',
        },
      );
    }
    // What somebody else drains stays as they left it.
    if (first.me.admin === 'drain' && (await hiddenByFleet(context)))
      await setAndReadBack(context, server, 'maint');
    return {
      outcome: 'ok',
      message:
        left === 0
          ? 'no session open'
          : `${left} session${left === 1 ? '' : 's'} still open after ${timeoutMs / 1000}s, cut`,
    };
  },
};
