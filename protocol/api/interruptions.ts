/** Hooks and once steps that may not run twice and were interrupted in the middle: each waits for a person. */
import { z } from 'zod';
import { hostName, versionName } from '../words.ts';
import { stepKind } from './plans.ts';

/** What becomes of it: it is run again, or counts as done. */
export const take = z.enum(['again', 'done']);
export type Take = z.infer<typeof take>;

export const interruption = z.strictObject({
  step: z.int(),
  host: hostName,
  kind: stepKind,
  /** The hook's or once step's name. */
  hook: z.string(),
  /** Which run of it was interrupted, from 1: one that is run again can be interrupted again. */
  run: z.int(),
  /** The version that it belongs to. */
  version: versionName,
  since: z.string(),
  /** Null while nobody has decided. */
  decision: z.strictObject({ take, by: z.string(), why: z.string().nullable(), at: z.string() }).nullable(),
});
export type Interruption = z.infer<typeof interruption>;
