import { z } from 'zod';
import { signedRelease } from '../trust.ts';
import { digest, refName, serviceName, versionName } from '../words.ts';

export const release = z.strictObject({
  service: serviceName,
  version: versionName,
  identity: digest,
  ref: z.string(),
  commit: z.string().nullable(),
  platform: z.string(),
  size: z.int(),
  builtAt: z.string(),
  /** Subjects of the commits since what ran before. */
  notes: z.array(z.string()),
  /** `environment/host` where it runs now. */
  runs: z.array(z.string()),
  /** Null for what was built in development. */
  signed: signedRelease.nullable(),
});
export type Release = z.infer<typeof release>;

export const build = {
  body: z.strictObject({ service: serviceName, ref: refName.optional(), version: versionName.optional() }),
  /** The build goes on by itself; its events are in the stream under this number. */
  reply: z.strictObject({ build: z.int() }),
};
export const buildState = {
  params: z.strictObject({ id: z.coerce.number().int().min(1) }),
  reply: z.strictObject({
    build: z.int(),
    state: z.enum(['running', 'succeeded', 'failed']),
    /** False where an artifact of the same source existed. */
    built: z.boolean().nullable(),
    release: release.nullable(),
    error: z.unknown().nullable(),
  }),
};
export const list = { query: z.strictObject({ service: serviceName.optional() }), reply: z.array(release) };
/** The file of `fleet build --sign-key`. `added`: false where it was there already. */
export const push = {
  takes: 'application/octet-stream',
  reply: z.strictObject({ release, added: z.boolean() }),
};
