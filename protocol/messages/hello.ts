/**
 * The first message on every connection, agent to controller. Nothing else is answered before it.
 *
 * It is where two versions of fleet meet, so it is the one message that lets pass what it does not know: a later version may add
 * to it and to its answer, and never changes or takes away. All that follows is spoken in the protocol that was agreed on here,
 * and is decoded strictly.
 */
import { z } from 'zod';
import { toldPolicy } from '../policy.ts';
import { level } from '../trust.ts';
import { digest, fleetId, hostName, labels, serviceName, versionName } from '../words.ts';

/** Protocol versions that this code speaks. */
export const PROTOCOL = { min: 1, max: 1 } as const;

export const hello = {
  request: z.object({
    protocol: z.object({ min: z.int(), max: z.int() }),
    agent: z.string().max(64),
    host: hostName,
    /** Made once per agent data directory: tells a restarted agent from a second one with the same name. */
    instance: z.string().regex(/^[0-9a-f-]{36}$/),
    labels,
    /** What its agent.yaml lets be done on it. An older agent does not say. */
    policy: toldPolicy.optional(),
    /** The highest epoch of each fleet that this agent has obeyed: a controller with an older database rises above it. */
    epochs: z.record(fleetId, z.int().min(1)).optional(),
    platform: z.string().max(64),
    bootId: z.string().max(64),
    services: z
      .array(
        z.object({
          service: serviceName,
          current: versionName.nullable(),
          releases: z.array(versionName).max(1000),
        }),
      )
      .max(1000),
    /** Bytes free where releases go. */
    freeDisk: z.number(),
    /** What it holds to; absent in development, where nothing is signed. */
    trust: z
      .object({
        /** Name of its root key. */
        root: digest,
        serial: z.int().min(1),
        level,
        /** `notBefore` of each floor. */
        floors: z.record(serviceName, z.int().min(0)),
      })
      .optional(),
  }),
  reply: z.object({ protocol: z.int(), fleet: z.string() }),
};
export type Hello = z.infer<typeof hello.request>;
