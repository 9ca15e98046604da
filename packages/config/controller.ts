/**
 * controller.yaml: which services there are and where they come from, which environments, their hosts by label, balancers,
 * strategy and values. An application's repository cannot loosen what stands here.
 */

import { batch } from '@fleet/protocol/api/plans.ts';
import {
  duration,
  environmentName,
  hostName,
  labelName,
  ownedServiceName,
  refName,
  secretName,
  variableName,
  variableValue,
} from '@fleet/protocol/words.ts';
import { z } from 'zod';
import { balancerConfig } from './balancer.ts';
import { writtenLabels } from './labels.ts';
import { profile, profileName } from './profiles.ts';

const source = z.union([
  z.strictObject({
    git: z.string().min(1).describe('A repository: a path or a URL'),
    ref: refName.default('main').describe('What `fleet deploy SERVICE` builds when nothing else is said'),
    directory: z.string().optional().describe('The folder in it that holds fleet.yaml'),
  }),
  z.strictObject({
    directory: z.string().min(1).describe('A folder on this machine, for trying things out'),
  }),
]);

/** `{host}` and `{label.NAME}` stand for the host's own. */
const template = z
  .string()
  .regex(
    /^([A-Za-z0-9._:/-]|\{host\}|\{label\.[a-z][a-z0-9_-]*\})+$/,
    'a plain word with {host} or {label.NAME}',
  );
const value = z.union([
  variableValue.describe('The same on every host'),
  // A whole number only: 1.10 would arrive as 1.1.
  z.int().transform(String),
  z.strictObject({ label: labelName.describe('The label of the host that holds the value') }),
  z.strictObject({ secret: secretName.describe('One of `secrets`') }),
]);

const secret = z.union([
  z.strictObject({
    environment: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'an environment variable is named like DATABASE_PASSWORD')
      .describe('A variable of the environment that the controller was started in'),
  }),
  z.strictObject({
    file: z
      .string()
      .min(1)
      .describe('A file that its owner alone may read (0600); a line end at its end is left out'),
  }),
  z.strictObject({
    command: z
      .array(z.string().regex(/^[^\0]*$/))
      .min(1)
      .describe('Program and arguments, without a shell, that print it; a line end at its end is left out'),
    timeout: duration.prefault('10s').describe('After this the program is ended, and has failed'),
  }),
]);
export type SecretSource = z.infer<typeof secret>;

export const strategy = z.strictObject({
  batch: z
    .array(z.union([batch.element, z.int().min(1).max(99_999).transform(String)]))
    .min(1)
    .default(['1'])
    .describe('Hosts that are out at the same time, batch after batch; the last repeats'),
  min_visible: z
    .int()
    .min(0)
    .default(1)
    .describe('Never fewer hosts than this in the balancer; 0 for a one-host environment'),
  drain: duration.prefault('30s').describe('How long open sessions may take to end'),
  on_drain_timeout: z
    .enum(['go_on', 'fail'])
    .default('go_on')
    .describe('What happens with sessions that do not end'),
  unhide: duration.prefault('60s').describe('How long the balancer may take to report a host up'),
  settle: duration.prefault('5s').describe('How long a host must stay well before the next one is touched'),
  patience: duration.prefault('30s').describe('How long a host that stops answering may take to come back'),
  on_failure: z
    .enum(['rollback_host', 'rollback_all', 'stop'])
    .default('rollback_host')
    .describe(
      'What goes back when a host fails: that host, that host and those before it, or nothing; no later host is begun',
    ),
  stage_parallel: z
    .int()
    .min(1)
    .max(256)
    .default(8)
    .describe('Hosts that receive a release at the same time'),
});

const behind = z.strictObject({
  name: z.string().describe('One of `balancers`'),
  backend: z.string().min(1).describe('What the balancer calls the group of hosts'),
  server: template.default('{host}').describe('What the balancer calls the host'),
  address: template
    .optional()
    .describe(
      'Where the balancer finds the host, like {label.address}:8080: the embedded one needs it, and HAProxy takes in by it what haproxy.cfg does not have',
    ),
  options: z
    .string()
    .regex(/^[A-Za-z0-9_.:/%-]+( [A-Za-z0-9_.:/%-]+)*$/, 'plain words, like check inter 1s')
    .default('check')
    .describe(
      'What else the line of a server says that HAProxy takes in while it runs; nothing of default-server counts for it',
    ),
});

const placement = z.strictObject({
  hosts: writtenLabels.describe('Labels that a host must have'),
  balancer: z
    .union([behind, z.literal('none').transform(() => undefined)])
    .optional()
    .describe('What hides and shows the hosts; `none`, or left out, for a service without users'),
  strategy: strategy.prefault({}).describe('How a deployment goes over the hosts'),
  values: z
    .record(variableName, value)
    .default({})
    .describe(
      'Values of the variables that fleet.yaml declares: the same on every host, a label of the host’s own, or a secret',
    ),
  catch_up: z
    .boolean()
    .optional()
    .describe(
      'A host that is new, or was away, gets the version that the environment is on by itself; without it yes, and in development no',
    ),
  once_on: hostName.optional().describe('The host that runs once steps; without it, the first one'),
});
export type Placement = z.infer<typeof placement>;

export const controllerConfig = z.strictObject({
  listen: z
    .string()
    .regex(/^[0-9A-Za-z.:[\]-]+:\d{1,5}$/, 'an address and a port, like 127.0.0.1:7300')
    .default('127.0.0.1:7300')
    .describe(
      'Where people and programs reach the controller, with their tokens, and where hosts join; TLS 1.3',
    ),
  listen_agents: z
    .string()
    .regex(/^[0-9A-Za-z.:[\]-]+:\d{1,5}$/, 'an address and a port, like 127.0.0.1:7301')
    .optional()
    .describe('Where agents connect, with their certificates; TLS 1.3. Without it, one port above `listen`'),
  development: z
    .boolean()
    .default(false)
    .describe('Everything on one plain port, nobody is asked who they are, nothing is signed; loopback only'),
  origins: z
    .array(
      z.string().regex(/^https:\/\/[a-z0-9.-]+(:\d{1,5})?$/, 'an origin, like https://fleet.example.org'),
    )
    .default([])
    .describe('Sites whose pages may ask the controller, as a browser names them; none without it'),
  data: z.string().default('./fleet-data').describe('Database, artifacts and logs; relative to this file'),
  build_user: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, 'a user of this machine')
    .optional()
    .describe(
      'The user that build and test commands run as, where the controller is root or has a rule of sudo for it; without it, fleet-build where there is one, else the controller’s own, who can read its keys',
    ),
  programs: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Fleet’s own programs, which hosts get: a folder that `./scripts/bundle` made, relative to this file. Without it, the one that came with the controller',
    ),
  services: z
    .record(
      ownedServiceName,
      z.strictObject({
        source: source.describe('Where it comes from: a git repository or a folder'),
        keep: z.int().min(2).max(100).default(5).describe('Releases that stay on a host'),
      }),
    )
    .describe('What can be built and deployed'),
  balancers: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/), balancerConfig)
    .default({})
    .describe('What sends users to the hosts'),
  secrets: z
    .record(secretName, secret)
    .default({})
    .describe('Where values come from that nobody may read: they are read at each use, and stored nowhere'),
  environments: z
    .record(
      environmentName,
      z.strictObject({
        services: z.record(ownedServiceName, placement).describe('What runs in it, and where'),
      }),
    )
    .describe('Sets of hosts that run one version of each service'),
  profiles: z
    .record(profileName, profile)
    .default({})
    .describe('What a new host becomes: see `fleet hosts add`'),
});
export type ControllerConfig = z.infer<typeof controllerConfig>;
export type Source = ControllerConfig['services'][string]['source'];
export type Strategy = z.infer<typeof strategy>;

/** The secret that gives a variable its value; undefined where nothing secret does. */
export function secretOf(value: Placement['values'][string]): string | undefined {
  return typeof value !== 'string' && 'secret' in value ? value.secret : undefined;
}
