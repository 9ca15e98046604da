import type { Turn } from '@fleet/protocol/api/standing.ts';
import type { Verdict } from '../deploy/behind.ts';
import { removeHost } from '../deploy/removeHost.ts';
import { hostNamed, takeOut } from '../deploy/takeOut.ts';
import type { Handlers, Served } from './handlers.ts';

/** Hosts that are taken out, let in again, and taken off for good. */
export function outAndIn(served: Served): Handlers<'hosts.out' | 'hosts.in' | 'hosts.remove'> {
  const { store, agents, catchUp, enrolment } = served;
  return {
    'hosts.out': async ({ params: { host }, body: { why }, by }) => ({
      turns: await takeOut(served, host, by, why),
    }),
    'hosts.in': async ({ params: { host } }) => {
      await hostNamed(served, host);
      const wasOut = await store.outHosts.remove(host);
      const asked = await catchUp.ask(host);
      return {
        turns: asked.map(({ placed: { service, environment }, verdict, deployment }): Turn => {
          const about = { service, environment };
          return { ...about, ...toldOf(verdict, deployment, wasOut) };
        }),
        deployments: asked.flatMap(({ deployment }) => deployment ?? []),
      };
    },
    'hosts.remove': async ({ params: { host }, body: { why }, by }) => {
      const wasConnected = agents.isConnected(host);
      const removed = await removeHost(served, { host, by, why }, async () => {
        await enrolment?.end(host, 'forgotten', by);
        await store.hosts.forget(host);
        await served.refreshBalancers();
      });
      const agent = wasConnected ? 'its agent is cut off and goes on trying' : 'its agent did not answer';
      return {
        ...removed,
        left: [...removed.left, `on ${host}: ${agent}; what was put there is there still`],
      };
    },
  };
}

function toldOf(
  verdict: Verdict,
  deployment: number | null,
  wasOut: boolean,
): Pick<Turn, 'outcome' | 'message'> {
  if (deployment !== null) return { outcome: 'changed', message: `deployment ${deployment} brings it back` };
  if (verdict.is === 'behind')
    return { outcome: 'failed', message: `stays as it is: ${verdict.why}; next: ${verdict.next}` };
  if (verdict.is === 'due')
    return { outcome: 'skipped', message: `${verdict.why}, as soon as nobody else deploys there` };
  return { outcome: 'ok', message: wasOut ? 'is as it should be' : 'was not out' };
}
