/** What runs where, and who is there. */
import { z } from 'zod';
import { serviceState } from '../messages/step.ts';
import { toldPolicy } from '../policy.ts';
import { environmentName, hostName, labels, serviceName, versionName } from '../words.ts';
import { deploymentState } from './deployments.ts';
import { interruption } from './interruptions.ts';

export const statusHost = z.strictObject({
  host: hostName,
  connected: z.boolean(),
  /** By the agent's own report where it is connected, else what it last said. */
  running: versionName.nullable(),
  state: serviceState,
  /** What the balancer itself says, null where there is none or it does not answer. */
  balancer: z.enum(['visible', 'hidden', 'down', 'unknown']).nullable(),
  /** Why it is hidden, where fleet hid it; else whether it has what the controller's database does not know of. */
  note: z.string().nullable(),
});
export const status = {
  query: z.strictObject({ service: serviceName.optional(), environment: environmentName.optional() }),
  reply: z.strictObject({
    controller: z.strictObject({
      version: z.string(),
      startedAt: z.string(),
      signing: z.string(),
      builds: z.string(),
    }),
    services: z.array(
      z.strictObject({
        service: serviceName,
        environment: environmentName,
        /** The version that every host of it runs, or null where they differ. */
        version: versionName.nullable(),
        running: z
          .strictObject({
            deployment: z.int(),
            state: deploymentState,
            version: versionName.nullable(),
            by: z.string(),
            since: z.string(),
            /** Interrupted hooks that somebody has to decide about. */
            waitsFor: z.array(interruption),
          })
          .nullable(),
        hosts: z.array(statusHost),
      }),
    ),
  }),
};
export type Status = z.infer<typeof status.reply>;

export const hostRow = z.strictObject({
  host: hostName,
  connected: z.boolean(),
  lastSeen: z.string(),
  labels,
  platform: z.string(),
  agent: z.string(),
  freeDisk: z.number(),
  services: z.array(
    z.strictObject({ service: serviceName, current: versionName.nullable(), releases: z.array(versionName) }),
  ),
});
export type HostRow = z.infer<typeof hostRow>;
const byName = z.strictObject({ host: hostName });
/** `policy`: by the agent's own word; null while it is not connected, or where it is too old to say. */
export const hostShown = hostRow.extend({ policy: toldPolicy.nullable() });
export type HostShown = z.infer<typeof hostShown>;
export const showHost = { params: byName, reply: hostShown };
export const hosts = { reply: z.array(hostRow) };
export const forget = { params: byName, reply: z.strictObject({ forgotten: z.boolean() }) };
export const logs = {
  params: z.strictObject({ service: serviceName, host: hostName }),
  query: z.strictObject({
    lines: z.coerce.number().int().min(1).max(10_000).default(100),
    after: z.string().max(256).optional(),
  }),
  reply: z.strictObject({ text: z.string(), cursor: z.string() }),
};
