/** The recap: computed from the steps and the agents' own reports, never written by hand. */
import { z } from 'zod';
import { environmentName, hostName, serviceName, versionName } from '../words.ts';
import { interruption } from './interruptions.ts';

export const recapHost = z.strictObject({
  host: hostName,
  ok: z.int(),
  changed: z.int(),
  unreachable: z.int(),
  failed: z.int(),
  skipped: z.int(),
  rescued: z.int(),
  ignored: z.int(),
  /** What the agent itself last reported, null where it never had one or is not known. */
  running: versionName.nullable(),
  /** One line a fact that the counts do not say: stays hidden, was hidden by somebody else, reports another version. */
  notes: z.array(z.string()),
});
export type RecapHost = z.infer<typeof recapHost>;

/** A host of the environment that the deployment did not go to: taken out, not connected, or not asked for. */
export const passedBy = z.strictObject({ host: hostName, reason: z.enum(['out', 'away', 'not_asked']) });
export type PassedBy = z.infer<typeof passedBy>;

export const recap = z.strictObject({
  deployment: z.int(),
  service: serviceName,
  version: versionName.nullable(),
  environment: environmentName,
  state: z.enum(['running', 'succeeded', 'failed', 'restored', 'refused', 'aborted']),
  durationMs: z.number(),
  hosts: z.array(recapHost),
  /** Why it ended as it did, for a failed one. */
  failure: z
    .strictObject({
      host: z.string().nullable(),
      step: z.string().nullable(),
      code: z.string(),
      message: z.string(),
      next: z.string().optional(),
      output: z.string().optional(),
    })
    .nullable(),
  /** Hooks that were interrupted, and what was decided about each. */
  interruptions: z.array(interruption).default([]),
  passedBy: z.array(passedBy).default([]),
  /** Versions that its hosts ran before, where a rollback would go. */
  before: z.array(versionName),
  /** What `fleet deploy` exits with. */
  exit: z.int(),
});
export type Recap = z.infer<typeof recap>;
