/** Smoke checks, run on the host by the version's own sealed definition. */
import { z } from 'zod';
import { secrets, serviceName, values, versionName } from '../words.ts';

export const checkResult = z.strictObject({
  name: z.string().max(64),
  passed: z.boolean(),
  tries: z.int().min(0),
  ms: z.number(),
  /** The last answer, or why there was none. One line. */
  detail: z.string().max(64 * 1024),
});
export type CheckResult = z.infer<typeof checkResult>;

export const smoke = {
  request: z.strictObject({
    service: serviceName,
    version: versionName,
    values,
    secrets,
    skip: z.array(z.string()),
    /** true: one try each, no waiting (settling looks, smoke waits). */
    onceOnly: z.boolean(),
  }),
  reply: z.strictObject({ results: z.array(checkResult).max(256) }),
};
