/** What every message that changes something carries, so that it is safe to send twice. */
import { z } from 'zod';
import { fleetId, versionName } from '../words.ts';

export const command = z.strictObject({
  /** The same id always gets the same, recorded answer. Unique over fleets, deployments and steps. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]{0,127}$/),
  /** Which fleet speaks: a fresh store is another fleet, and its epochs start anew. */
  fleet: fleetId,
  /** Never falls. An agent refuses an epoch below the highest that it has seen of this fleet. */
  epoch: z.int().min(1),
  /** For people: `deployment 42`, `prune`. */
  why: z.string().max(200),
  /** What a person has decided about parts of this command that were interrupted and may not run twice. */
  decisions: z
    .array(
      z.strictObject({
        part: z.string().max(64),
        /** The run that was interrupted, from 1: a decision holds for that one alone. */
        run: z.int().min(1),
        take: z.enum(['again', 'done']),
      }),
    )
    .optional(),
});
/** What an agent says of a part that was interrupted: the data of `hook_interrupted`. */
export const interruptedPart = z.object({ hook: z.string(), version: versionName, run: z.int().min(1) });
export type Command = z.infer<typeof command>;
