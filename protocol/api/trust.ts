/** Who may sign, what is too old, and signatures that were made on another machine. */
import { z } from 'zod';
import { MOST_SIGNATURES } from '../messages/trust.ts';
import { keyId, level, signedFloor, signedRelease, signedTrust } from '../trust.ts';
import { hostName, serviceName, versionName } from '../words.ts';

/** Hosts that have what was changed, and those that are told when they are there again. */
const told = z.strictObject({ told: z.array(hostName), away: z.array(hostName) });

export const show = {
  reply: z.strictObject({
    /** Name of the root key. */
    root: keyId,
    /** Its public half, SPKI as base64: good for whoever knows its name from elsewhere. */
    rootKey: z.string().regex(/^[A-Za-z0-9+/]{40,200}={0,2}$/),
    trust: signedTrust,
    /** Releases on the shelf that nobody who may sign has signed. */
    unsigned: z.array(z.strictObject({ service: serviceName, version: versionName })),
  }),
};
/** The controller's next release key, for level L0. It signs nothing until a document names it. */
export const makeKey = { reply: z.strictObject({ key: z.string() }) };
export const replace = {
  body: z.strictObject({ trust: signedTrust }),
  reply: told.extend({ serial: z.int(), level }),
};

const why = z.string().min(1).max(500);
export const floor = z.strictObject({
  service: serviceName,
  version: versionName,
  why,
  by: z.string(),
  at: z.string(),
  signed: signedFloor,
});
export type Floor = z.infer<typeof floor>;
export const floors = { reply: z.array(floor) };
export const setFloor = {
  body: z.strictObject({
    service: serviceName,
    version: versionName,
    why,
    /** Where the controller has no key: made by who has one. */
    signed: signedFloor.optional(),
  }),
  reply: told.extend({ floor }),
};
export const addSignatures = {
  body: z.strictObject({ signed: z.array(signedRelease).min(1).max(MOST_SIGNATURES) }),
  reply: told,
};
