/** A look at one host, from both ends of its link. */
import { z } from 'zod';
import { finding } from '../finding.ts';
import { machineFacts } from '../messages/host.ts';
import { hostName } from '../words.ts';

export const examine = {
  params: z.strictObject({ host: hostName }),
  /** `packages`: with the version of each package of its distribution. */
  query: z.strictObject({ packages: z.stringbool().default(false) }),
  reply: z.strictObject({
    host: hostName,
    connected: z.boolean(),
    facts: machineFacts.nullable(),
    findings: z.array(finding),
  }),
};
export type Examined = z.infer<typeof examine.reply>;
