/**
 * Every message there is, by direction. A handler table is typed over this one, so a method without a handler does not
 * compile, and what is not here is refused as `unknown_method`.
 */
import type { z } from 'zod';
import { smoke } from './check.ts';
import { hello } from './hello.ts';
import { read } from './log.ts';
import { activate, commit, offer, prune } from './release.ts';
import { once, report, restart, stop } from './step.ts';
import { update } from './trust.ts';

/** Controller asks, agent answers. */
export const AGENT_METHODS = {
  'release.offer': offer,
  'release.commit': commit,
  'release.activate': activate,
  'release.prune': prune,
  'step.restart': restart,
  'step.stop': stop,
  'step.once': once,
  'step.report': report,
  'check.smoke': smoke,
  'log.read': read,
  'trust.update': update,
} as const;

/** Agent asks, controller answers. */
export const CONTROLLER_METHODS = { hello } as const;

export type Methods = Record<string, { request: z.ZodType; reply: z.ZodType }>;
export type AgentMethods = typeof AGENT_METHODS;
export type ControllerMethods = typeof CONTROLLER_METHODS;
export type Request<M extends Methods, K extends keyof M> = z.infer<M[K]['request']>;
export type Reply<M extends Methods, K extends keyof M> = z.infer<M[K]['reply']>;
/** One handler a method. What it throws is sent as an error body. `signal` fires when the link is lost. */
export type Handlers<M extends Methods> = {
  [K in keyof M]: (body: Request<M, K>, context: { signal: AbortSignal }) => Promise<Reply<M, K>>;
};
