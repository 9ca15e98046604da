/**
 * What happens, numbered, kept, and streamed as server-sent events. A stream is resumed with Last-Event-ID. Events without
 * an id (progress) are not kept and are lost to whoever was not looking.
 */
import { z } from 'zod';
import { hostName, outcome, versionName } from '../words.ts';
import { take } from './interruptions.ts';
import { stepKind } from './plans.ts';
import { recap } from './recap.ts';

/** Part of a step: a hook or once step, and the version that it belongs to. */
const hook = { hook: z.string(), version: versionName };
const step = { step: z.int(), host: hostName, kind: stepKind, rescue: z.boolean() };
export const event = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('build.started'), service: z.string(), ref: z.string() }),
  z.strictObject({ type: z.literal('build.note'), text: z.string() }),
  z.strictObject({
    type: z.literal('build.ended'),
    /** Subjects of the commits since what ran before, newest first. */
    notes: z.array(z.string()),
    version: z.string().nullable(),
    built: z.boolean(),
    ms: z.number(),
    error: z.unknown().nullable(),
  }),
  z.strictObject({
    type: z.literal('deployment.started'),
    service: z.string(),
    environment: z.string(),
    version: z.string(),
    hosts: z.array(hostName),
    kind: z.enum(['deploy', 'rollback']),
  }),
  z.strictObject({ type: z.literal('deployment.resumed'), why: z.string() }),
  z.strictObject({ type: z.literal('phase.started'), phase: z.string(), hosts: z.array(hostName) }),
  z.strictObject({ type: z.literal('step.started'), ...step, says: z.string() }),
  z.strictObject({
    type: z.literal('step.progress'),
    ...step,
    done: z.number(),
    of: z.number(),
    unit: z.string(),
  }),
  /** A hook that may not run twice was interrupted: the deployment waits until a person has decided. */
  z.strictObject({ type: z.literal('step.waiting'), ...step, ...hook }),
  z.strictObject({
    type: z.literal('step.decided'),
    ...step,
    ...hook,
    take,
    by: z.string(),
    why: z.string().nullable(),
  }),
  z.strictObject({
    type: z.literal('step.ended'),
    ...step,
    outcome,
    ms: z.number(),
    /** One line. */
    message: z.string().nullable(),
    /** For a failure: what to do next, and the end of the output. */
    next: z.string().optional(),
    output: z.string().optional(),
  }),
  z.strictObject({ type: z.literal('note'), host: hostName.nullable(), text: z.string() }),
  z.strictObject({ type: z.literal('deployment.ended'), recap }),
  z.strictObject({
    type: z.literal('rehearsal.ended'),
    profile: z.string(),
    host: hostName,
    succeeded: z.boolean(),
    /** What failed first. */
    why: z.string().nullable(),
  }),
]);
export type FleetEvent = z.infer<typeof event>;
/** As it comes over the stream: the SSE `id` is the event's number, `data` is this. */
export const envelope = z.strictObject({
  id: z.int().nullable(),
  at: z.string(),
  /** `deployment/42`, `build/7` or `rehearsal/3`. */
  topic: z.string(),
  event,
});
export type Envelope = z.infer<typeof envelope>;

export const stream = {
  query: z.strictObject({
    topic: z
      .string()
      .regex(/^(deployment|build|rehearsal)\/\d+$/)
      .optional(),
    after: z.coerce.number().int().min(0).optional(),
  }),
};
