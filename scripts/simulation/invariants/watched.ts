/** What invariants are looked at in. */
import type { SimulatedBalancer } from '../balancer.ts';
import type { SimulatedClock } from '../clock.ts';
import type { Deed } from '../deed.ts';
import type { SimulatedHost } from '../host.ts';
import type { Shelf } from '../shelf.ts';
import type { Story } from '../story.ts';

export interface Watched {
  clock: SimulatedClock;
  story: Story;
  shelf: Shelf;
  hosts: ReadonlyMap<string, SimulatedHost>;
  balancers: ReadonlyMap<string, SimulatedBalancer>;
  minVisible: number;
}

export function deploymentOf(by: Deed | undefined): number {
  return Number(/\d+/.exec(by?.command.why ?? '')?.[0] ?? 0);
}

/** The step that a command is of, by its id: FLEET:DEPLOYMENT:STEP, and perhaps a part. Another id for it is the same step. */
export function stepOf(by: Deed | undefined): string | undefined {
  return by?.command.id.split(':')[2];
}
