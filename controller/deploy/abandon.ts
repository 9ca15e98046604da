/**
 * What a backup shows as under way is not gone on with: it ran on after the backup was made, and nobody knows how far. Nothing
 * is asked of a host here; the next `fleet status` or deployment does that.
 */

import { deploymentTopic } from '../store/events.ts';
import type { Store } from '../store/store.ts';
import type { FinalReport } from './facts.ts';
import { endWithRecap } from './finish.ts';

/** Ends every unfinished deployment of a restored database, and frees its lock. Gives their numbers. */
export async function abandonUnfinished(store: Store, takenAt: string): Promise<number[]> {
  const unfinished = await store.deployments.unfinished();
  for (const { id } of unfinished) await abandon(id, store, takenAt);
  return unfinished.map(({ id }) => id);
}

async function abandon(id: number, store: Store, takenAt: string): Promise<void> {
  const why = `the controller was restored from a backup of ${takenAt}, which was made during this deployment`;
  const { service, environment } = await store.deployments.get(id);
  await store.events.append(deploymentTopic(id), {
    type: 'note',
    host: null,
    text: `${why}: it is not gone on with`,
  });
  for (const { step, host, kind, rescue, state } of await store.steps.list(id)) {
    if (state !== 'running') continue;
    const ended = { outcome: 'unreachable', message: `not known how it ended: ${why}`, ms: 0 } as const;
    await store.steps.end(id, step, ended, { type: 'step.ended', step, host, kind, rescue, ...ended });
  }
  await store.steps.skipPending(id);
  for (const { host } of await store.deployments.hosts(id)) {
    const hidden = await store.hidden.has(service, environment, host);
    await store.deployments.saveReport(id, host, { known: false, why, hidden } satisfies FinalReport);
  }
  await store.deployments.fail(id, {
    host: null,
    step: null,
    code: 'controller_restored',
    message: why,
    next: `fleet status ${service} says what runs; then deploy what should run`,
  });
  await endWithRecap(id, { store });
}
