/** What a new host becomes, resolved by the controller: whoever adds one makes the host so. */
import { z } from 'zod';
import { environmentName, labels, moment, serviceName, versionName } from '../words.ts';

const name = z.string().max(100);
/** Milliseconds. */
const timeout = z.int().min(0);
const command = z.array(z.string()).min(1);
const done = { name, command, unless: command.optional(), timeout };

/** A service that environments put on such a host. */
export const profileService = z.strictObject({
  service: serviceName,
  environment: environmentName,
  /** The user that it runs as. */
  user: name,
  /** The version that was read; null where none was built yet, and its repository was looked at or cannot be. */
  version: versionName.nullable(),
  /** How that one runs; null where nothing is known of it. */
  run: z
    .strictObject({
      supervisor: z.string(),
      /** The team's own unit of systemd; null where fleet writes one, or needs none. */
      unit: z.string().nullable(),
      /** The program of supervisord, null where that does not look after it. */
      program: z.string().nullable(),
      /** That program starts what the agent writes, and fleet makes it. */
      launched: z.boolean(),
    })
    .nullable(),
});
export type ProfileService = z.infer<typeof profileService>;

export const profileShown = z.strictObject({
  profile: name,
  labels,
  /** Where such a host reaches the controller; null: where whoever adds it does. */
  controller: z.string().nullable(),
  ssh: z.strictObject({ user: name, port: z.int() }),
  packages: z.array(name),
  /** Those of services among them. */
  users: z.array(z.strictObject({ name, groups: z.array(name), home: z.string().nullable() })),
  files: z.array(
    z.strictObject({
      path: z.string(),
      /** Base64. */
      content: z.string(),
      owner: name,
      group: name,
      mode: z.string().regex(/^0[0-7]{3}$/),
    }),
  ),
  steps: z.array(z.strictObject(done)),
  hooks: z.array(z.strictObject({ ...done, when: z.enum(['before', 'after']) })),
  /** As it goes into agent.yaml. */
  policy: z.strictObject({
    services: z.array(z.string()),
    run_as: z.record(z.string(), name),
    labels: z.record(z.string(), z.array(z.string())),
    upgrades: z.boolean(),
  }),
  services: z.array(profileService),
  /** Where agents connect, at the address at which the controller is reached. */
  agentsPort: z.int(),
  /** By the controller's clock: certificates hold by it. */
  now: moment,
});
export type ProfileShown = z.infer<typeof profileShown>;

export const list = {
  reply: z.array(
    z.strictObject({
      profile: name,
      labels,
      services: z.array(z.strictObject({ service: serviceName, environment: environmentName })),
    }),
  ),
};
export const show = { params: z.strictObject({ profile: name }), reply: profileShown };
