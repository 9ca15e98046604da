/** The three files that people write, and the schema of each. */
import { service } from '@fleet/protocol/service.ts';
import type { z } from 'zod';
import { agentConfig } from './agent.ts';
import { controllerConfig } from './controller.ts';

export const FILES = {
  'fleet.yaml': service,
  'controller.yaml': controllerConfig,
  'agent.yaml': agentConfig,
} as const satisfies Record<string, z.ZodType>;
export type FileName = keyof typeof FILES;
