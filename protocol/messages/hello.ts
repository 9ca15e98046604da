/** The first message on every connection, agent to controller. Nothing else is answered before it. */
import { z } from 'zod';
import { fleetId, hostName, labels, serviceName, versionName } from '../words.ts';

/** Protocol versions that this code speaks. */
export const PROTOCOL = { min: 1, max: 1 } as const;

export const hello = {
  request: z.strictObject({
    protocol: z.strictObject({ min: z.int(), max: z.int() }),
    agent: z.string().max(64),
    host: hostName,
    /** Made once per agent data directory: tells a restarted agent from a second one with the same name. */
    instance: z.string().regex(/^[0-9a-f-]{36}$/),
    labels,
    /** The highest epoch of each fleet that this agent has obeyed: a controller with an older database rises above it. */
    epochs: z.record(fleetId, z.int().min(1)).optional(),
    platform: z.string().max(64),
    bootId: z.string().max(64),
    services: z.array(
      z.strictObject({
        service: serviceName,
        current: versionName.nullable(),
        releases: z.array(versionName),
      }),
    ),
    /** Bytes free where releases go. */
    freeDisk: z.number(),
  }),
  reply: z.strictObject({ protocol: z.int(), fleet: z.string() }),
};
