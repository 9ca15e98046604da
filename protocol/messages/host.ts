/** Looking at a host: what it is, and what its own agent finds on it. Nothing is changed. */
import { z } from 'zod';
import { finding } from '../finding.ts';

/** As small as a message can be: how long it takes there and back, and what time it is there. */
export const time = {
  request: z.strictObject({}),
  /** Milliseconds since 1970 by the host's clock. */
  reply: z.strictObject({ at: z.int().min(0) }),
};

const told = z.string().max(200);
export const machineFacts = z.strictObject({
  agent: told,
  node: told,
  protocol: z.strictObject({ min: z.int(), max: z.int() }),
  platform: told,
  kernel: told,
  /** By /etc/os-release. */
  distribution: told,
  libc: told,
  /** Versions by name; null where they were not asked for, or where no package manager is known. */
  packages: z.record(z.string().max(200), told).nullable(),
});
export type MachineFacts = z.infer<typeof machineFacts>;

export const examine = {
  request: z.strictObject({ packages: z.boolean() }),
  reply: z.strictObject({ facts: machineFacts, findings: z.array(finding).max(2000) }),
};
