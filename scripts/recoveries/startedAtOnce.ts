/** Many start the same at once: one proceeds, and every other one is told which. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Section } from '../benchmarks/figures.ts';
import { type Scene, SERVICE } from './scene.ts';

export interface Rounds {
  deployments: number;
  /** Rounds with 50 deployments at once, and with pairs. */
  crowds: number;
  pairs: number;
}

type Start = () => Promise<{ id: number }>;

/** Throws where not exactly one proceeded. */
export async function startAtOnce(scene: Scene, rounds: Rounds): Promise<Section> {
  const { client } = scene;
  const deploying =
    (version: string): Start =>
    () =>
      client.call('deployments.start', { body: { service: SERVICE, version } });
  const goingBack =
    (to: string): Start =>
    () =>
      client.call('deployments.rollback', { body: { service: SERVICE, to } });
  const crowd = (version: string) => Array.from({ length: rounds.deployments }, () => deploying(version));

  const answered: number[] = [];
  for (let round = 0; round < rounds.crowds; round++) {
    const from = performance.now();
    const id = await exactlyOne(crowd(scene.otherVersion()));
    answered.push(performance.now() - from);
    await scene.succeeded(id);
  }
  for (let round = 0; round < rounds.pairs; round++) {
    const version = scene.otherVersion();
    await scene.succeeded(await exactlyOne([goingBack(version), goingBack(version)]));
    const other = scene.otherVersion();
    await scene.succeeded(await exactlyOne([deploying(other), goingBack(other)]));
  }
  return {
    title: `${rounds.deployments} deployments of one service at once`,
    figures: [{ what: 'until all of them are answered', unit: 'ms', values: answered }],
    notes: [
      `In each of ${rounds.crowds} rounds exactly one proceeded and succeeded, and ${rounds.deployments - 1} were told which one holds the lock. So it was in ${rounds.pairs} rounds of two rollbacks at once, and in ${rounds.pairs} of a deployment and a rollback.`,
    ],
  };
}

/** The number of the one that proceeds. */
async function exactlyOne(starts: Start[]): Promise<number> {
  const answers = await Promise.allSettled(starts.map((start) => start()));
  const ids = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.id] : []));
  const refusals = answers.flatMap((answer) =>
    answer.status === 'rejected' ? [asFleetError(answer.reason)] : [],
  );
  const [id] = ids;
  if (id === undefined || ids.length !== 1) throw new Error(`${ids.length} proceeded: ${ids.join(', ')}`);
  for (const { code, message, next } of refusals)
    if (code !== 'locked' || !message.includes(`deployment ${id}`) || !next?.includes(`fleet attach ${id}`))
      throw new Error(`while deployment ${id} proceeded, one was told: ${code}: ${message}`);
  return id;
}
