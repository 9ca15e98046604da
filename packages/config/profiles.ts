/** `profiles` of controller.yaml: what a new host becomes when `fleet hosts add -p PROFILE` has been there. */
import { duration, type Labels, labelName, serviceName } from '@fleet/protocol/words.ts';
import { z } from 'zod';
import { labelPattern, servicePattern, userName } from './agent.ts';
import { writtenLabels } from './labels.ts';
import { named } from './names.ts';

export const profileName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'a profile is named like web or ubuntu-worker');

/** Whose rights would be the agent's own, or all there are: neither may be what a service runs as. */
const TOO_MUCH = ['root', 'fleet', 'self'];
const serviceUser = userName.refine(
  (name) => !TOO_MUCH.includes(name),
  'a service has a user of its own: not root, not fleet, not self',
);
/** A path of a host, in no other spelling than its plainest. */
const absolute = z
  .string()
  .max(1024)
  .regex(
    /^(?![\s\S]*\/(\.{1,2})?(\/|$))\/[^\u0000-\u001f\u007f]+$/,
    'a path from the root, like /etc/segmenter.conf',
  );
const argv = z
  .array(
    z
      .string()
      .max(4096)
      .regex(/^[^\0]*$/),
  )
  .min(1);
const stepName = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a step is named like time-zone');

const user = z.strictObject({
  groups: z.array(userName).default([]).describe('Groups that it is in besides its own; they must exist'),
  home: absolute.optional().describe('Its home, made where there is none; /nonexistent without it'),
});

const file = z
  .strictObject({
    path: absolute.describe('Where it goes on the host; folders above it are made'),
    source: z.string().min(1).optional().describe('A file on the controller’s machine, relative to this one'),
    content: z.string().max(65_536).optional().describe('Or the text itself'),
    owner: userName.default('root').describe('A user of the host'),
    group: userName.default('root').describe('A group of the host'),
    mode: z
      .string()
      .regex(/^0[0-7]{3}$/, 'a mode in quotes, like "0644"')
      .default('0644')
      .describe('Who may read and write it'),
  })
  .refine(({ source, content }) => (source === undefined) !== (content === undefined), {
    message: 'give it either `source` or `content`',
  });

const step = z.strictObject({
  name: stepName.describe('What the recap calls it'),
  command: argv.describe('Run as root on the host, without a shell'),
  unless: argv
    .optional()
    .describe(
      'Where this ends with exit status 0, there is nothing to do; without it, the step is always run',
    ),
  timeout: duration.prefault('5m').describe('After this it is ended, and has failed'),
});

const hook = z.strictObject({
  name: stepName.describe('What the recap calls it'),
  command: argv.describe(
    'Run on the machine of whoever adds the host, who is asked first; {host}, {address}, {port} and {user} stand for the host’s own',
  ),
  unless: argv
    .optional()
    .describe(
      'Where this ends with exit status 0, there is nothing to do; without it, the hook is always run',
    ),
  when: z
    .enum(['before', 'after'])
    .default('before')
    .describe('Before fleet puts anything on the host, or after its agent is connected'),
  timeout: duration.prefault('30m').describe('After this it is ended, and has failed'),
});

const policy = z.strictObject({
  services: z
    .array(servicePattern)
    .optional()
    .describe('Services that may be put on the host; without it, those whose environments select its labels'),
  run_as: z
    .record(serviceName, serviceUser)
    .default({})
    .describe('The user of a service; without it, the one that is called like the service'),
  labels: z
    .record(labelName, z.array(labelPattern).min(1))
    .optional()
    .describe('The values that a label of the host may have; without it, exactly those of the profile'),
  upgrades: z
    .boolean()
    .default(true)
    .describe(
      'Whether the controller may bring another agent and another Node; where not, `fleet hosts add` does, run again',
    ),
});

export const profile = z.strictObject({
  labels: writtenLabels.describe('What environments select the host by; it has them from its join token'),
  controller: z
    .string()
    .regex(/^https:\/\/[^\s/]{1,255}$/, 'like https://10.0.0.1:7300')
    .optional()
    .describe('Where the host reaches the controller; without it, where whoever adds it does'),
  ssh: z
    .strictObject({
      user: userName.default('root').describe('Who logs in: root, or somebody who may use sudo'),
      port: z.int().min(1).max(65535).default(22).describe('Of its sshd'),
    })
    .prefault({})
    .describe('How whoever adds it logs in, where the command line does not say it'),
  packages: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]{1,127}$/, 'a package is named like libstdc++6'))
    .default([])
    .describe('Debian packages, installed where they are missing'),
  users: z
    .record(serviceUser, user)
    .default({})
    .describe('System users, made where they are missing; those that services run as need not stand here'),
  files: z.array(file).default([]).describe('Files that the host has'),
  steps: z.array(step).default([]).describe('What root does on the host, after packages, users and files'),
  hooks: z
    .array(hook)
    .default([])
    .describe('What another tool does to the host, such as Ansible, from where it is added'),
  policy: policy
    .prefault({})
    .describe('What its agent.yaml will say that may be done on it, whatever the controller says later'),
});
export type Profile = z.infer<typeof profile>;

/** Every service that an environment puts on a host with these labels. */
export function servicesOf(
  { environments }: Selecting,
  labels: Labels,
): Array<{ service: string; environment: string }> {
  return Object.entries(environments).flatMap(([environment, { services }]) =>
    Object.entries(services)
      .filter(([, { hosts }]) =>
        Object.entries(hosts).every(([label, value]) => named(labels, label) === value),
      )
      .map(([service]) => ({ service, environment })),
  );
}
interface Selecting {
  environments: Record<string, { services: Record<string, { hosts: Labels }> }>;
}
