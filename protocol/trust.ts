/**
 * What is signed, and by whom. The root key, made at `fleet init` and then taken offline, says who may sign releases; a
 * release key says what exists; the controller only says who gets what.
 */
import { z } from 'zod';
import { digest, serviceName, versionName } from './words.ts';

/** sha256 of a public key's SPKI bytes: the key's name, and the identity of whoever holds its private half. */
export const keyId = digest;

/**
 * Where the release key is: on the controller, so that whoever owns the controller can run code on the hosts (L0), or on another
 * machine such as CI, so that they cannot (L1b). An agent never goes from L1b back to L0 by anything that is sent to it.
 */
export const level = z.enum(['L0', 'L1b']);
export type Level = z.infer<typeof level>;

/** Milliseconds since 1970 by the signer's clock. */
const signedAt = z.int().min(0);

/** Signed by a release key. Covers all of the manifest, and so the sealed fleet.yaml with every command that a host will run. */
export const releaseStatement = z.strictObject({
  kind: z.literal('release'),
  service: serviceName,
  version: versionName,
  /** Of the manifest's bytes as they are stored and sent: its canonical JSON and a line end. */
  manifest: digest,
  signedAt,
});
export type ReleaseStatement = z.infer<typeof releaseStatement>;

/** Signed by a release key: releases of this service that were signed earlier have a known hole, and are not activated any more. */
export const floorStatement = z.strictObject({
  kind: z.literal('floor'),
  service: serviceName,
  /** The oldest version that is still good, for people. */
  version: versionName,
  /** Its `signedAt`: what decides. A floor never falls. */
  notBefore: signedAt,
  signedAt,
});
export type FloorStatement = z.infer<typeof floorStatement>;

/** Signed by the root key: who may sign releases from now on. A higher serial replaces a lower one, never the other way round. */
export const trustStatement = z.strictObject({
  kind: z.literal('trust'),
  serial: z.int().min(1),
  level,
  signers: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/),
        /** Ed25519, SPKI as base64. */
        key: z.string().regex(/^[A-Za-z0-9+/]{40,200}={0,2}$/),
      }),
    )
    .min(1)
    .max(16),
  signedAt,
});
export type TrustStatement = z.infer<typeof trustStatement>;

const signedBy = { key: keyId, signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/) };
export const signedRelease = z.strictObject({ statement: releaseStatement, ...signedBy });
export const signedFloor = z.strictObject({ statement: floorStatement, ...signedBy });
export const signedTrust = z.strictObject({ statement: trustStatement, ...signedBy });
export type SignedRelease = z.infer<typeof signedRelease>;
export type SignedFloor = z.infer<typeof signedFloor>;
export type SignedTrust = z.infer<typeof signedTrust>;
