/** The policy before every message that does something here: a service that may not be on this host is not even looked for. */
import type { AgentMethods, Handlers } from '@fleet/protocol/messages/methods.ts';
import type { Policy } from './policy.ts';

/** A message that is not in it does not compile. Those that only look say what is there, whoever put it there. */
const GUARDED = {
  'release.offer': true,
  'release.commit': true,
  'release.activate': true,
  'release.prune': true,
  'step.restart': true,
  'step.stop': true,
  'step.once': true,
  'step.report': false,
  'check.smoke': true,
  'log.read': false,
  // Of no service: what it may say is signed.
  'trust.update': false,
  // They change nothing.
  'host.time': false,
  'host.examine': false,
} as const satisfies Record<keyof AgentMethods, boolean>;

type Method = keyof typeof GUARDED;
type Handler = (body: { service: string }, context: { signal: AbortSignal }) => Promise<unknown>;

export function guarded(policy: Policy, handlers: Handlers<AgentMethods>): Handlers<AgentMethods> {
  const guard = (method: Method, handle: Handler): Handler =>
    GUARDED[method]
      ? async (body, context) => {
          await policy.admit(body.service);
          return handle(body, context);
        }
      : handle;
  return Object.fromEntries(
    Object.entries(handlers).map(([method, handle]) => [method, guard(method as Method, handle as Handler)]),
  ) as unknown as Handlers<AgentMethods>;
}
