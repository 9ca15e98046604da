/** Rehearsals: a profile tried from nothing on a borrowed machine, and what came of it. */
import { z } from 'zod';
import { finding } from '../finding.ts';
import { machineFacts } from '../messages/host.ts';
import { environmentName, hostName, moment, serviceName, versionName } from '../words.ts';

const profile = z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'a profile is named like web or ubuntu-worker');

export const phase = z.strictObject({
  /** up, provision, `deploy segmenter`, look, remove, down. */
  name: z.string().max(100),
  outcome: z.enum(['ok', 'failed', 'skipped']),
  ms: z.number().min(0),
  /** Why it failed; one line. */
  message: z.string().max(4000).nullable(),
});
export type RehearsalPhase = z.infer<typeof phase>;

export const report = z.strictObject({
  succeeded: z.boolean(),
  phases: z.array(phase).max(1000),
  /** Of the machine, as it was at the end; null where it did not come that far. */
  facts: machineFacts.nullable(),
  /** What was not well with it then. */
  findings: z.array(finding).max(2000),
  services: z
    .array(
      z.strictObject({
        service: serviceName,
        environment: environmentName,
        version: versionName,
        deployment: z.int().nullable(),
        succeeded: z.boolean(),
      }),
    )
    .max(1000),
});
export type RehearsalReport = z.infer<typeof report>;

export const rehearsalRow = z.strictObject({
  id: z.int(),
  profile,
  host: hostName,
  by: z.string(),
  startedAt: moment,
  /** Null while it goes on; and for ever where whoever ran it was cut off. */
  endedAt: moment.nullable(),
  succeeded: z.boolean().nullable(),
});
export type RehearsalRow = z.infer<typeof rehearsalRow>;
export const rehearsalShown = rehearsalRow.extend({ report: report.nullable() });
export type RehearsalShown = z.infer<typeof rehearsalShown>;

const byId = z.strictObject({ id: z.coerce.number().int().min(1) });
export const begin = {
  body: z.strictObject({ profile, host: hostName }),
  reply: z.strictObject({ id: z.int() }),
};
export const end = { params: byId, body: report, reply: z.strictObject({ ended: z.literal(true) }) };
export const show = { params: byId, reply: rehearsalShown };
export const list = {
  query: z.strictObject({
    profile: profile.optional(),
    limit: z.coerce.number().int().min(1).max(500).default(20),
  }),
  reply: z.array(rehearsalRow),
};
