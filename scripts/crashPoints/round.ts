/** Many cases, one after the other on a fleet. A fleet on which one went wrong is put aside, and the next begins on a fresh one. */
import type { Point } from '@fleet/process/points.ts';
import type { Case } from './cases.ts';
import { undergo, type Verdict } from './ordeal.ts';
import { Scene } from './scene.ts';

export interface Round {
  verdicts: Verdict[];
  /** How often each point was passed in all, faults or not. */
  passages: Map<Point, number>;
}

export interface RoundOptions {
  /** Fleets side by side, which take the cases in turn. */
  fleets: number;
  /** The folders of fleets on which something went wrong stay, and are named. */
  keep: boolean;
  signal: AbortSignal;
  tell(verdict: Verdict, at: number): void;
}

export async function undergoAll(cases: readonly Case[], options: RoundOptions): Promise<Round> {
  const round: Round = { verdicts: [], passages: new Map() };
  const left = [...cases];
  await Promise.all(Array.from({ length: options.fleets }, () => work(left, round, options)));
  return round;
}

async function work(left: Case[], round: Round, { keep, signal, tell }: RoundOptions): Promise<void> {
  let scene: Scene | undefined;
  for (let each = left.shift(); each !== undefined && !signal.aborted; each = left.shift()) {
    scene ??= await Scene.start();
    const verdict = await undergo(scene, each);
    round.verdicts.push(verdict);
    if (verdict.wrong.length > 0) {
      if (keep) verdict.wrong.push(`its fleet is kept in ${scene.dir}`);
      await putAside(scene, round, { keep });
      scene = undefined;
    }
    tell(verdict, round.verdicts.length);
  }
  if (scene !== undefined) await putAside(scene, round, { keep: false });
}

async function putAside(scene: Scene, { passages }: Round, { keep }: { keep: boolean }): Promise<void> {
  for (const [key, count] of scene.passages()) {
    const [point, phase] = key.split(' ') as [Point, string];
    if (phase === 'before') passages.set(point, (passages.get(point) ?? 0) + count);
  }
  await scene.stop();
  if (!keep) scene.fleet.remove();
}
