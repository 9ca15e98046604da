/** Removing releases that nobody will go back to. */
import { passing } from '@fleet/process/points.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { orderedReleases, readActivations, writeActivations } from './activate.ts';
import { type Home, readCurrent } from './layout.ts';
import { removeRelease } from './release.ts';
import { readStarted } from './started.ts';
import { clearStaging } from './sweep.ts';

type Prune = Request<AgentMethods, 'release.prune'>;

/** Kept: the `keep` newest activated (so always the current and the prior one), what runs, and what is protected. */
export async function pruneReleases(
  home: Home,
  { keep, protect }: Prune,
): Promise<Reply<AgentMethods, 'release.prune'>> {
  const { activated, others } = await orderedReleases(home);
  const started = await readStarted(home);
  const kept = new Set([...activated.slice(0, keep), await readCurrent(home), started?.version, ...protect]);
  const removed = [...activated, ...others].filter((version) => !kept.has(version));
  await clearStaging(home);
  for (const version of removed) await passing('agent.prune', () => removeRelease(home, version));
  const left = (await readActivations(home)).filter((version) => !removed.includes(version));
  if (removed.length > 0) await writeActivations(home, left);
  return { removed };
}
