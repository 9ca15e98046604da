/**
 * Every message there is, with the end that may send it. Each end answers what the other may send, and its handler table is typed
 * over that, so a message without a sender or without a handler does not compile, and what is not here is refused as `unknown_method`.
 */
import type { z } from 'zod';
import type { End } from '../access.ts';
import { smoke } from './check.ts';
import { hello } from './hello.ts';
import { examine, time } from './host.ts';
import { renew } from './identity.ts';
import { read } from './log.ts';
import { activate, commit, offer, prune } from './release.ts';
import { once, report, restart, stop } from './step.ts';
import { update } from './trust.ts';

export interface Message {
  /** Who may send it: see access.ts. */
  from: End;
  request: z.ZodType;
  reply: z.ZodType;
}

export const MESSAGES = {
  hello: { from: 'agent', ...hello },
  'identity.renew': { from: 'agent', ...renew },
  'release.offer': { from: 'controller', ...offer },
  'release.commit': { from: 'controller', ...commit },
  'release.activate': { from: 'controller', ...activate },
  'release.prune': { from: 'controller', ...prune },
  'step.restart': { from: 'controller', ...restart },
  'step.stop': { from: 'controller', ...stop },
  'step.once': { from: 'controller', ...once },
  'step.report': { from: 'controller', ...report },
  'check.smoke': { from: 'controller', ...smoke },
  'log.read': { from: 'controller', ...read },
  'trust.update': { from: 'controller', ...update },
  'host.time': { from: 'controller', ...time },
  'host.examine': { from: 'controller', ...examine },
} as const satisfies Record<string, Message>;

type From<E extends End> = {
  [K in keyof typeof MESSAGES as (typeof MESSAGES)[K]['from'] extends E ? K : never]: (typeof MESSAGES)[K];
};
function from<E extends End>(end: E): From<E> {
  // The filter and the type say the same, which the compiler cannot follow.
  return Object.fromEntries(
    Object.entries(MESSAGES).filter(([, message]) => message.from === end),
  ) as From<E>;
}

/** Controller asks, agent answers. */
export const AGENT_METHODS = from('controller');
/** Agent asks, controller answers. */
export const CONTROLLER_METHODS = from('agent');

export type Methods = Record<string, { request: z.ZodType; reply: z.ZodType }>;
export type AgentMethods = typeof AGENT_METHODS;
export type ControllerMethods = typeof CONTROLLER_METHODS;
export type Request<M extends Methods, K extends keyof M> = z.infer<M[K]['request']>;
export type Reply<M extends Methods, K extends keyof M> = z.infer<M[K]['reply']>;
/** One handler a method. What it throws is sent as an error body. `signal` fires when the link is lost. */
export type Handlers<M extends Methods> = {
  [K in keyof M]: (body: Request<M, K>, context: { signal: AbortSignal }) => Promise<Reply<M, K>>;
};
