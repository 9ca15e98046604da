/** agent.yaml: who a host is and where its releases go. The controller cannot change it. */
import { hostName } from '@fleet/protocol/words.ts';
import { z } from 'zod';
import { writtenLabels } from './labels.ts';

export const agentConfig = z.strictObject({
  host: hostName.describe('This host’s name'),
  controller: z
    .string()
    .regex(/^wss?:\/\/[^\s]+$/, 'like ws://127.0.0.1:7300')
    .default('ws://127.0.0.1:7300')
    .describe('Where the controller listens; the agent dials it'),
  root: z.string().min(1).default('/srv/fleet').describe('Releases go to ROOT/SERVICE/releases/VERSION'),
  data: z.string().optional().describe('The agent’s own journal; ROOT/.agent without it'),
  labels: writtenLabels
    .default({})
    .describe('role, environment, port: what environments select by and values come from'),
});
export type AgentConfig = z.infer<typeof agentConfig>;
