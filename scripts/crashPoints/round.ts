/** Many cases on one fleet, one after the other. A fleet on which one went wrong is put aside, and the next begins on a fresh one. */
import type { Point } from '@fleet/process/points.ts';
import type { Case } from './cases.ts';
import { undergo, type Verdict } from './ordeal.ts';
import { Scene } from './scene.ts';

export interface Round {
  verdicts: Verdict[];
  /** How often each point was passed in all, faults or not. */
  passages: Map<Point, number>;
}

/** `keep`: the folders of fleets on which something went wrong stay, and are named. */
export async function undergoAll(
  cases: Case[],
  options: { keep: boolean; signal: AbortSignal; tell(verdict: Verdict, at: number): void },
): Promise<Round> {
  const round: Round = { verdicts: [], passages: new Map() };
  let scene: Scene | undefined;
  const leave = async () => {
    for (const [key, count] of scene?.passages() ?? []) {
      const [point, phase] = key.split(' ') as [Point, string];
      if (phase === 'before') round.passages.set(point, (round.passages.get(point) ?? 0) + count);
    }
    await scene?.stop();
  };
  for (const each of cases) {
    if (options.signal.aborted) break;
    scene ??= await Scene.start();
    const verdict = await undergo(scene, each);
    round.verdicts.push(verdict);
    if (verdict.wrong.length > 0) {
      if (options.keep) verdict.wrong.push(`its fleet is kept in ${scene.dir}`);
      await leave();
      if (!options.keep) scene.fleet.remove();
      scene = undefined;
    }
    options.tell(verdict, round.verdicts.length);
  }
  await leave();
  scene?.fleet.remove();
  return round;
}
