/** Who may sign from now on, and what is no longer good enough: documents that the controller hands on and cannot make itself. */
import { z } from 'zod';
import { signedFloor, signedRelease, signedTrust } from '../trust.ts';

/** More signatures than this are sent in several messages. */
export const MOST_SIGNATURES = 500;

/** Taken as a whole or not at all. What the host has already is no fault. */
export const update = {
  request: z.strictObject({
    trust: signedTrust,
    floors: z.array(signedFloor).max(1000),
    /** Releases that were signed anew, such as after a key was replaced; those that the host does not have are passed over. */
    releases: z.array(signedRelease).max(MOST_SIGNATURES),
  }),
  reply: z.strictObject({ serial: z.int().min(1) }),
};
