/** What a plan needs to know of one host. Kept with the deployment, because the way back is planned from it too. */
import { serviceState } from '@fleet/protocol/messages/step.ts';
import { digest, hostName, keptValues, versionName } from '@fleet/protocol/words.ts';
import { z } from 'zod';

export const hostFacts = z.strictObject({
  host: hostName,
  /** The balancer's name for it; null where the environment has no balancer. */
  server: z.string().nullable(),
  /** Values of the declared variables, for the version that comes. */
  values: keptValues,
  /** Its agent answered when the deployment was planned; without that nobody knows a way back. */
  reached: z.boolean(),
  /** What it ran before, by its own report; null on a host that has never had the service. */
  prior: z.strictObject({ version: versionName, identity: digest, values: keptValues }).nullable(),
  /** The version runs here already, with the same content and values. */
  already: z.boolean(),
  /** Its smoke checks passed a moment ago. Only asked, and only counts, where the version runs already. */
  well: z.boolean().default(true),
  /** An earlier deployment left it hidden. */
  hiddenByFleet: z.boolean(),
  /** The balancer does not have its server. */
  absent: z.boolean().default(false),
  /** Where a balancer that takes in servers while it runs would find it, as IP:PORT; null where nobody says. */
  address: z.string().nullable().default(null),
  /** What else its line in the balancer's configuration says. */
  options: z.string().default(''),
});
export type HostFacts = z.infer<typeof hostFacts>;

/** Whether fleet had it hidden in the balancer at the end. */
const hidden = z.boolean();
/** What an agent reported at the end of a deployment, or why nothing is known. */
export const finalReport = z.union([
  z.strictObject({
    known: z.literal(true),
    current: versionName.nullable(),
    running: versionName.nullable(),
    identity: digest.nullable(),
    state: serviceState,
    hidden,
  }),
  z.strictObject({ known: z.literal(false), why: z.string(), hidden }),
]);
export type FinalReport = z.infer<typeof finalReport>;
