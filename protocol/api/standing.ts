/** Whether a host is where its environment is, for one service: what `fleet status` and `fleet hosts` say beside the version. */
import { z } from 'zod';
import { environmentName, serviceName, versionName } from '../words.ts';

export const standing = z.strictObject({
  /**
   * `out`: people have taken the host out. `catching_up`: a deployment brings it to its environment's version now, or will as soon
   * as the lock is free. `behind`: it is not on that version, or hidden, and nothing is done about it by itself.
   */
  state: z.enum(['out', 'catching_up', 'behind']),
  why: z.string(),
  /** The command that mends it, or that shows more. */
  next: z.string(),
});
export type Standing = z.infer<typeof standing>;

/** One service in one environment, as one host has it. */
export const place = z.strictObject({
  service: serviceName,
  environment: environmentName,
  /** By the agent's own report where it is connected, else what it last said. */
  running: versionName.nullable(),
  /** What its environment is on; null where nobody knows. */
  wanted: versionName.nullable(),
  balancer: z.enum(['visible', 'hidden', 'down', 'unknown']).nullable(),
  /** Open at the balancer now; null where that is not known. */
  sessions: z.int().nullable(),
  /** Null where all is well. */
  standing: standing.nullable(),
});
export type Place = z.infer<typeof place>;

/** What became of a service on a host that was taken out, let in again or removed. */
export const turn = z.strictObject({
  service: serviceName,
  environment: environmentName.nullable(),
  outcome: z.enum(['ok', 'changed', 'failed', 'skipped']),
  message: z.string(),
});
export type Turn = z.infer<typeof turn>;
