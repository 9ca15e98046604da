/** How hosts join: tokens, identities, and what an agent that has no certificate yet, or none any more, asks for. */
import { z } from 'zod';
import { keyId, signedTrust } from '../trust.ts';
import { hostName, labels, moment } from '../words.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const tokenId = z.string().regex(/^[0-9a-f]{16}$/);
/** SPKI as base64. */
const publicKey = z.string().regex(/^[A-Za-z0-9+/]{40,200}={0,2}$/);
const byHost = z.strictObject({ host: hostName });

export const createToken = {
  body: z.strictObject({
    /** Of every host that joins with it: role, environment, and what else environments select by. */
    labels,
    /** The only name that may join with it. */
    host: hostName.optional(),
    uses: z.int().min(1).max(1000).default(1),
    ttlMs: z
      .int()
      .min(1000)
      .max(30 * DAY_MS)
      .default(15 * 60 * 1000),
    /** Whoever comes with it waits until somebody lets it in. */
    approve: z.boolean().default(false),
    /** The people's endpoint as hosts reach it. */
    url: z.string().regex(/^https:\/\/[^\s/]{1,255}$/, 'like https://10.0.0.1:7300'),
  }),
  reply: z.strictObject({ id: tokenId, joinString: z.string(), expiresAt: moment }),
};

export const joinToken = z.strictObject({
  id: tokenId,
  labels,
  host: hostName.nullable(),
  approve: z.boolean(),
  uses: z.int(),
  used: z.int(),
  by: z.string(),
  madeAt: moment,
  expiresAt: moment,
  revokedAt: moment.nullable(),
});
export type JoinToken = z.infer<typeof joinToken>;
export const tokens = { reply: z.array(joinToken) };
export const revokeToken = {
  params: z.strictObject({ id: tokenId }),
  reply: z.strictObject({ revoked: z.boolean() }),
};

export const identityState = z.enum(['waiting', 'active', 'revoked', 'forgotten']);
export type IdentityState = z.infer<typeof identityState>;
export const identityRow = z.strictObject({
  key: keyId,
  host: hostName,
  labels,
  state: identityState,
  token: tokenId,
  joinedAt: moment,
  /** Of its newest certificate. */
  expiresAt: moment.nullable(),
  endedAt: moment.nullable(),
  endedBy: z.string().nullable(),
});
export type IdentityRow = z.infer<typeof identityRow>;
export const identities = { reply: z.array(identityRow) };
export const approve = { params: byHost, reply: z.strictObject({ approved: z.boolean() }) };
export const revoke = { params: byHost, reply: z.strictObject({ revoked: z.boolean() }) };

/** A P-256 signature over the statement: whoever sends it has the private half of the key in it. */
const proven = <S extends z.ZodType>(statement: S) =>
  z.strictObject({
    statement,
    key: keyId,
    signature: z.string().regex(/^[A-Za-z0-9+/]{80,120}={0,2}$/),
  });

/** Bound to the token, so that it proves nothing with another one. */
export const joinStatement = z.strictObject({
  kind: z.literal('join'),
  token: tokenId,
  /** Null where the token says it. */
  host: hostName.nullable(),
  key: publicKey,
});
export type JoinStatement = z.infer<typeof joinStatement>;
export const certifyStatement = z.strictObject({
  kind: z.literal('certify'),
  key: publicKey,
  /** Milliseconds since 1970 by the host's clock: an old request is not taken. */
  at: z.int().min(0),
});
export type CertifyStatement = z.infer<typeof certifyStatement>;

export const enrolled = z.discriminatedUnion('state', [
  z.strictObject({ state: z.literal('waiting'), host: hostName }),
  z.strictObject({
    state: z.literal('active'),
    host: hostName,
    labels,
    /** PEM, as `ca` is. */
    certificate: z.string().max(10_000),
    ca: z.string().max(10_000),
    /** The root key's public half: SPKI as base64. */
    root: publicKey,
    trust: signedTrust,
    /** Port of the agents' endpoint, at the address where this was asked. */
    port: z.int().min(1).max(65_535),
  }),
]);
export type Enrolled = z.infer<typeof enrolled>;

export const join = {
  body: z.strictObject({
    token: z.string().max(200),
    proof: proven(joinStatement),
  }),
  reply: enrolled,
};
export const certify = { body: z.strictObject({ proof: proven(certifyStatement) }), reply: enrolled };
