/** Who may ask the controller, and for what. */
import { z } from 'zod';
import { ROLES } from '../access.ts';
import { environmentName, personName, serviceName } from '../words.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
export const DEFAULT_TTL_MS = 90 * DAY_MS;

export const role = z.enum(ROLES);
/** Null: all of them, also those that come. */
const scope = {
  services: z.array(serviceName).min(1).max(100).nullable(),
  environments: z.array(environmentName).min(1).max(100).nullable(),
};
export const person = z.strictObject({
  name: z.string(),
  role,
  ...scope,
  /** Null: it does not end by itself. */
  expires: z.string().nullable(),
});
export type Person = z.infer<typeof person>;

export const me = { reply: person };
export const list = {
  reply: z.array(
    person.extend({
      created: z.string(),
      /** Within a minute; null: never. */
      lastUsed: z.string().nullable(),
      /** Who gave it. */
      by: z.string(),
    }),
  ),
};
export type PersonRow = z.infer<typeof list.reply>[number];
export const add = {
  body: z.strictObject({
    name: personName,
    role,
    services: scope.services.default(null),
    environments: scope.environments.default(null),
    /** Milliseconds that the token holds. */
    ttl: z
      .int()
      .min(1000)
      .max(3650 * DAY_MS)
      .default(DEFAULT_TTL_MS),
  }),
  /** The token is told here and never again. */
  reply: z.strictObject({ token: z.string(), expires: z.string() }),
};
export const revoke = {
  params: z.strictObject({ name: personName }),
  reply: z.strictObject({
    revoked: z.boolean(),
    /** Names of those whose tokens this one gave, and who still have them. */
    gave: z.array(z.string()),
  }),
};
