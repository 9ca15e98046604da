/** What every message that changes something carries, so that it is safe to send twice. */
import { z } from 'zod';
import { fleetId } from '../words.ts';

export const command = z.strictObject({
  /** The same id always gets the same, recorded answer. Unique over fleets, deployments and steps. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]{0,127}$/),
  /** Which fleet speaks: a fresh store is another fleet, and its epochs start anew. */
  fleet: fleetId,
  /** Never falls. An agent refuses an epoch below the highest that it has seen of this fleet. */
  epoch: z.int().min(1),
  /** For people: `deployment 42`, `prune`. */
  why: z.string().max(200),
});
export type Command = z.infer<typeof command>;
