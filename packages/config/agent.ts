/** agent.yaml: who a host is, where its releases go, and what it lets be done on it. The controller cannot change it. */
import { hostName, labelName, serviceName } from '@fleet/protocol/words.ts';
import { z } from 'zod';
import { writtenLabels } from './labels.ts';

export const servicePattern = z
  .string()
  .regex(/^[a-z0-9*][a-z0-9._*-]{0,62}$/, 'a service, or a pattern like cubed-* where * stands for anything');
export const labelPattern = z.union([
  z.string().regex(/^[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,127}$/, 'a label value, or a pattern like stag*'),
  z.int().min(0).transform(String),
]);
export const userName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/, 'a user of this host, or self');

export const policyConfig = z.strictObject({
  services: z
    .array(servicePattern)
    .default(['*'])
    .describe('Services that may be put on this host; `*` stands for any characters'),
  run_as: z
    .record(z.union([z.literal('*'), serviceName]), userName)
    .default({})
    .describe(
      'The user that a service, its hooks and its checks run as, `*` for all others; `self` is the agent’s own, which a host that has joined takes only where it is written',
    ),
  root_hooks: z
    .boolean()
    .optional()
    .describe(
      'Whether hooks, once steps and command checks may run as root, where that is whom a service runs as; without it, only in development',
    ),
  upgrades: z
    .boolean()
    .default(true)
    .describe(
      'Whether the controller may replace the agent itself, by a release that is signed like any other',
    ),
  labels: z
    .record(labelName, z.array(labelPattern).min(1))
    .default({})
    .describe('The values that a label of this host may have; a label that is not here may have any'),
});
export type PolicyConfig = z.infer<typeof policyConfig>;

export const agentConfig = z.strictObject({
  host: hostName
    .optional()
    .describe('This host’s name, in development; one that has joined a fleet has it from there'),
  controller: z
    .string()
    .regex(/^wss?:\/\/[^\s]+$/, 'like wss://10.0.0.1:7301')
    .optional()
    .describe(
      'Where the controller takes agents; a host that has joined knows it from there. ws://127.0.0.1:7300 in development',
    ),
  root: z.string().min(1).default('/srv/fleet').describe('Releases go to ROOT/SERVICE/releases/VERSION'),
  data: z.string().optional().describe('The agent’s own journal; ROOT/.agent without it'),
  labels: writtenLabels
    .default({})
    .describe(
      'role, environment, port, in development; those of a host that has joined are its join token’s',
    ),
  policy: policyConfig
    .prefault({})
    .describe('What this host lets be done on it, whatever the controller says'),
});
export type AgentConfig = z.infer<typeof agentConfig>;
