/** What runs where, and who is there. */
import { z } from 'zod';
import { serviceState } from '../messages/step.ts';
import { toldPolicy } from '../policy.ts';
import { environmentName, hostName, labels, serviceName, versionName } from '../words.ts';
import { deploymentState } from './deployments.ts';
import { interruption } from './interruptions.ts';
import { place, standing, turn } from './standing.ts';

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
  /** Where it is not on its environment's version, out, or hidden; null where all is well. */
  standing: standing.nullable(),
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
  /** Whether its agent.yaml lets its agent be replaced, as far as that is known now. */
  upgrades: z.boolean(),
  freeDisk: z.number(),
  services: z.array(
    z.strictObject({ service: serviceName, current: versionName.nullable(), releases: z.array(versionName) }),
  ),
  /** Who has taken it out, and why; null where nobody has. */
  out: z.strictObject({ by: z.string(), why: z.string(), since: z.string() }).nullable(),
  /** Services that it is out, behind or catching up with. */
  standings: z.array(standing.extend({ service: serviceName, environment: environmentName })),
});
export type HostRow = z.infer<typeof hostRow>;
const byName = z.strictObject({ host: hostName });
/** `policy`: by the agent's own word; null while it is not connected, or where it is too old to say. */
export const hostShown = hostRow.extend({
  policy: toldPolicy.nullable(),
  /** Every service and environment that its labels put it in, in the order of controller.yaml. */
  places: z.array(place),
  /** Until when its certificate holds; null in development, and while it has none. */
  certificateUntil: z.string().nullable(),
});
export type HostShown = z.infer<typeof hostShown>;
export const showHost = { params: byName, reply: hostShown };
export const hosts = { reply: z.array(hostRow) };
export const forget = { params: byName, reply: z.strictObject({ forgotten: z.boolean() }) };
const why = z.string().trim().min(1).max(500);
/** `takeOut`, `letIn` and `remove`: what was done about each of its services. */
export const takeOut = {
  params: byName,
  body: z.strictObject({ why }),
  reply: z.strictObject({ turns: z.array(turn) }),
};
export const letIn = {
  params: byName,
  body: z.strictObject({}),
  /** `deployments`: those that bring it to its environment's version, as far as they have begun. */
  reply: z.strictObject({ turns: z.array(turn), deployments: z.array(z.int()) }),
};
export const remove = {
  params: byName,
  body: z.strictObject({ why }),
  /** `left`: what is still on the host, or to be done by hand elsewhere. */
  reply: z.strictObject({ turns: z.array(turn), left: z.array(z.string()) }),
};
export const logs = {
  params: z.strictObject({ service: serviceName, host: hostName }),
  query: z.strictObject({
    lines: z.coerce.number().int().min(1).max(10_000).default(100),
    after: z.string().max(256).optional(),
  }),
  reply: z.strictObject({ text: z.string(), cursor: z.string() }),
};
