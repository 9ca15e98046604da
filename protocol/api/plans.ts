/** A deployment's plan as people see it, and what one asks for. */
import { z } from 'zod';
import {
  digest,
  environmentName,
  hostName,
  labelValue,
  refName,
  serviceName,
  versionName,
} from '../words.ts';

/** `web-*` or a plain host name. */
export const hostPattern = z
  .string()
  .regex(/^[a-z0-9*?][a-z0-9*?._-]{0,62}$/, 'a host, or a pattern like web-*');
/** `1`, `5`, `20%`: hosts that are out at the same time, batch after batch; the last repeats. */
export const batch = z
  .array(z.string().regex(/^[1-9]\d{0,4}%?$/, 'a batch is a number or a percentage, like 1 or 20%'))
  .min(1);

export const planRequest = z.strictObject({
  service: serviceName,
  /** May be left out only where there is one environment. */
  environment: environmentName.optional(),
  /** An existing version. */
  version: versionName.optional(),
  /** A branch, tag or commit to build. With neither, the service's configured ref. */
  ref: refName.optional(),
  hosts: z.array(hostPattern).optional(),
  roles: z.array(labelValue).optional(),
  batch: batch.optional(),
  /** Milliseconds; overrides the environment's settle time. */
  soak: z.int().min(0).optional(),
  skipChecks: z.array(z.string()).default([]),
  why: z.string().max(500).optional(),
});
export type PlanRequest = z.infer<typeof planRequest>;

export const STEP_KINDS = [
  'stage',
  'once',
  'hide',
  'drain',
  'activate',
  'restart',
  'smoke',
  'unhide',
  'settle',
  'record',
] as const;
export const stepKind = z.enum(STEP_KINDS);
export type StepKind = z.infer<typeof stepKind>;

export const plannedStep = z.strictObject({ kind: stepKind, host: hostName, says: z.string() });
export const plannedPhase = z.strictObject({
  name: z.string(),
  lanes: z.array(z.strictObject({ host: hostName, steps: z.array(plannedStep) })),
});

export const planReply = z.strictObject({
  service: serviceName,
  environment: environmentName,
  version: versionName.nullable(),
  /** True where the version would be built first, and so is not known yet. */
  toBuild: z.string().nullable(),
  digest: digest,
  phases: z.array(plannedPhase),
  /** Hosts passed by, and why. */
  notes: z.array(z.string()),
  /** Gates that would refuse it now. */
  refusals: z.array(z.strictObject({ code: z.string(), message: z.string(), next: z.string().optional() })),
  /** Nothing to do: the same version with the same values runs already. */
  noop: z.boolean(),
});
export type PlanReply = z.infer<typeof planReply>;
