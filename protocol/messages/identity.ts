/** What an agent asks about its own certificate, over the link that this certificate has opened. */
import { z } from 'zod';

export const renew = {
  request: z.strictObject({}),
  /** PEM. For the same key, which never leaves the host. */
  reply: z.strictObject({ certificate: z.string().max(10_000) }),
};
