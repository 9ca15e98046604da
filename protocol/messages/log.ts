/** Reading what a service printed. */
import { z } from 'zod';
import { serviceName } from '../words.ts';

export const read = {
  /** `after`: a cursor from an earlier reply; without it the last `lines` lines. */
  request: z.strictObject({
    service: serviceName,
    lines: z.int().min(1).max(10_000),
    after: z.string().max(256).optional(),
  }),
  reply: z.strictObject({ text: z.string().max(512 * 1024), cursor: z.string().max(256) }),
};
