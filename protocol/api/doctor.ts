/** A look at one host, from both ends of its link. */
import { z } from 'zod';
import { finding } from '../finding.ts';
import { machineFacts } from '../messages/host.ts';
import { environmentName, hostName, serviceName, versionName } from '../words.ts';

export const serviceFacts = z.strictObject({
  service: serviceName,
  environment: environmentName,
  /** What the environment is on; null where nothing was deployed, or its hosts differ. */
  wanted: versionName.nullable(),
  running: versionName.nullable(),
});
export type ServiceFacts = z.infer<typeof serviceFacts>;

export const examine = {
  params: z.strictObject({ host: hostName }),
  /** `packages`: with the version of each package of its distribution. */
  query: z.strictObject({ packages: z.stringbool().default(false) }),
  reply: z.strictObject({
    host: hostName,
    connected: z.boolean(),
    facts: machineFacts.nullable(),
    findings: z.array(finding),
    /** That it is for, where it is connected. */
    services: z.array(serviceFacts),
  }),
};
export type Examined = z.infer<typeof examine.reply>;
