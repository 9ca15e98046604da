/** What a deployment keeps to from its plan to its end, whatever controller.yaml says by then. */
import { strategy } from '@fleet/config/controller.ts';
import { z } from 'zod';

// Durations are milliseconds by now.
const planned = strategy.extend({
  drain: z.number(),
  unhide: z.number(),
  settle: z.number(),
  patience: z.number(),
});
export const settings = z.strictObject({
  strategy: planned,
  balancer: z.strictObject({ name: z.string(), backend: z.string() }).nullable(),
  /** Releases that stay on a host. */
  keep: z.int(),
});
export type Settings = z.infer<typeof settings>;
