/** Every case there is: a point, before or after it, and what happens there. The rest of each is drawn from the seed. */
import { type Passage, POINTS, type Point } from '@fleet/process/points.ts';
import { Random } from '../random/random.ts';

export const FAULTS = ['kill', 'stop', 'cut'] as const;
export type Fault = (typeof FAULTS)[number];
export const HOSTS = ['a', 'b'] as const;

export interface Case {
  point: Point;
  phase: Passage['phase'];
  fault: Fault;
  /** `controller`, or the agent of a host. */
  program: string;
  /** Which of the passages of one deployment is struck, as a share from 0 to 1: how many there are is seen when it runs. */
  share: number;
  /** Milliseconds that a stop or a cut lasts. */
  holdMs: number;
  /** How a cut ends: what was under way arrives late, or the connections break. */
  heal: 'late' | 'reset';
}

/** A quarter of the heartbeat of 5 s, in which nobody notices anything but that nothing comes. */
const SHORT_MS = 400;
/** Longer than the 17.5 s in which a silent peer is noticed. */
export const LONG_MS = 20_000;

/** In the order of the seed. `long`: the share of stops and cuts that last until the other side has noticed. */
export function casesOf(seed: number, { long }: { long: number }): Case[] {
  const random = new Random(seed);
  const cases = POINTS.flatMap((point) =>
    (['before', 'after'] as const).flatMap((phase) =>
      FAULTS.map((fault): Case => {
        const host = random.next() < 0.5 ? HOSTS[0] : HOSTS[1];
        return {
          point,
          phase,
          fault,
          program: point.startsWith('controller.') ? 'controller' : `agent-${host}`,
          share: random.next(),
          holdMs: fault !== 'kill' && random.next() < long ? LONG_MS : SHORT_MS,
          heal: random.next() < 0.5 ? 'late' : 'reset',
        };
      }),
    ),
  );
  for (let last = cases.length - 1; last > 0; last--) {
    const other = Math.floor(random.next() * (last + 1));
    [cases[last], cases[other]] = [cases[other]!, cases[last]!];
  }
  return cases;
}
