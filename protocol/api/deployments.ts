import { z } from 'zod';
import { environmentName, hostName, outcome, serviceName, versionName } from '../words.ts';
import { hostPattern, planReply, planRequest, stepKind } from './plans.ts';
import { recap } from './recap.ts';

export const deploymentState = z.enum([
  'resolving',
  'running',
  'paused',
  'waiting',
  'aborting',
  'succeeded',
  'failed',
  'restored',
  'refused',
  'aborted',
]);
export type DeploymentState = z.infer<typeof deploymentState>;

export const deploymentRow = z.strictObject({
  id: z.int(),
  kind: z.enum(['deploy', 'rollback']),
  service: serviceName,
  environment: environmentName,
  version: versionName.nullable(),
  state: deploymentState,
  by: z.string(),
  why: z.string().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  hosts: z.int(),
  exit: z.int().nullable(),
});
export type DeploymentRow = z.infer<typeof deploymentRow>;

export const stepRow = z.strictObject({
  step: z.int(),
  phase: z.string(),
  host: hostName,
  kind: stepKind,
  rescue: z.boolean(),
  state: z.enum(['pending', 'running', 'done']),
  outcome: outcome.nullable(),
  says: z.string(),
  message: z.string().nullable(),
  startedAt: z.string().nullable(),
  ms: z.number().nullable(),
});
export type StepRow = z.infer<typeof stepRow>;

export const start = { body: planRequest, reply: z.strictObject({ id: z.int() }) };
export const rollbackRequest = z.strictObject({
  service: serviceName,
  environment: environmentName.optional(),
  to: versionName.optional(),
  hosts: z.array(hostPattern).optional(),
  roles: z.array(z.string()).optional(),
  skipChecks: z.array(z.string()).default([]),
  why: z.string().max(500).optional(),
});
export const rollback = { body: rollbackRequest, reply: start.reply };
export const plan = { body: planRequest, reply: planReply };

const byId = z.strictObject({ id: z.coerce.number().int().min(1) });
export const list = {
  query: z.strictObject({
    service: serviceName.optional(),
    environment: environmentName.optional(),
    limit: z.coerce.number().int().min(1).max(500).default(20),
  }),
  reply: z.array(deploymentRow),
};
export const show = {
  params: byId,
  reply: z.strictObject({ deployment: deploymentRow, steps: z.array(stepRow), recap }),
};
const reason = z.strictObject({ why: z.string().max(500).optional() });
/** `pause`, `resume` and `abort`: what a deployment under way is asked to do next. */
export const ask = { params: byId, body: reason, reply: z.strictObject({ state: deploymentState }) };
/** A decision about interrupted hooks; without `host` about all that wait. */
const decision = reason.extend({ host: hostName.optional() });
export const skip = { params: byId, body: decision, reply: ask.reply };
export const retry = {
  params: byId,
  body: decision,
  /** The same number where the deployment waited. Null: every host is on the version, and nothing was started. */
  reply: z.strictObject({ id: z.int().nullable() }),
};
export const stepOutput = {
  params: z.strictObject({ id: byId.shape.id, step: z.coerce.number().int().min(1) }),
  reply: z.strictObject({ text: z.string() }),
};
