import { z } from 'zod';

export const start = {
  /** A folder on the controller's machine, which does not exist yet. */
  body: z.strictObject({
    directory: z
      .string()
      .max(1024)
      .regex(
        /^\/[^\0]*[^/\0]$/,
        'a backup goes into a folder that is named from the root, like /backups/monday',
      ),
  }),
  /** The backup goes on by itself. It is known under this number until the controller ends. */
  reply: z.strictObject({ backup: z.int() }),
};
export const made = z.strictObject({
  takenAt: z.string(),
  /** Versions whose files are in it. */
  versions: z.int(),
  /** Of all files. */
  bytes: z.int(),
  /** `service version` of those whose files the controller itself has lost. */
  missing: z.array(z.string()),
});
export const show = {
  params: z.strictObject({ id: z.coerce.number().int().min(1) }),
  reply: z.strictObject({
    backup: z.int(),
    directory: z.string(),
    state: z.enum(['running', 'succeeded', 'failed']),
    made: made.nullable(),
    error: z.unknown().nullable(),
  }),
};
