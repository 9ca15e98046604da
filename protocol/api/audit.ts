/** What was done, by whom, when, from where: rows that are bound to each other by their hashes. */
import { z } from 'zod';
import { digest } from '../words.ts';

/**
 * `asked`: written before it is done, so that nothing is done that is not here; then one row that says how it ended. `refused`:
 * not let in by role or scope.
 */
export const auditOutcome = z.enum(['asked', 'done', 'failed', 'refused']);
export type AuditOutcome = z.infer<typeof auditOutcome>;

export const auditRow = z.strictObject({
  seq: z.int().min(1),
  at: z.string(),
  who: z.string(),
  /** An address, or where else it came from. */
  from: z.string(),
  /** A route's name, like deployments.start, or what the controller did by itself. */
  what: z.string(),
  outcome: auditOutcome,
  /** What it was about: service, environment, host, number. Never a secret. */
  details: z.record(z.string(), z.unknown()),
  /** Hash of the row before; 64 zeros for the first. */
  previous: digest,
  /** sha256 over the canonical JSON of all of the above. */
  hash: digest,
});
export type AuditRow = z.infer<typeof auditRow>;
export const auditHead = z.strictObject({ seq: z.int().min(0), hash: digest });
export type AuditHead = z.infer<typeof auditHead>;

export const list = {
  query: z.strictObject({
    since: z.iso.datetime().optional(),
    who: z.string().min(1).max(100).optional(),
    limit: z.coerce.number().int().min(1).max(10_000).default(50),
  }),
  /** Newest first. */
  reply: z.array(auditRow),
};
/** The first row that is not as it was written. */
export const auditFault = z.strictObject({ seq: z.int(), message: z.string() });
export type AuditFault = z.infer<typeof auditFault>;
export const verify = {
  /** Number and hash of a row that somebody has noted elsewhere. */
  query: z.strictObject({ seq: z.coerce.number().int().min(1).optional(), hash: digest.optional() }),
  reply: z.strictObject({ rows: z.int(), head: auditHead, fault: auditFault.nullable() }),
};
