/** The request and reply half of a session: what we ask and wait for, and what the peer asks and we answer. */
import type { Frame } from '@fleet/protocol/codec.ts';
import { type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { Handlers, Methods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { firedBy, setDeadline } from './deadline.ts';
import { wireError } from './wireError.ts';

/** Requests of the peer that are being answered at the same time. More are refused, so that a peer costs bounded memory. */
const ANSWERING = 64;
/** Characters of a schema's complaint that are passed on: it quotes what the peer sent. */
const COMPLAINT = 1000;

export interface AskOptions {
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

export function createCalls<Theirs extends Methods, Ours extends Methods>(parts: {
  /** Throws where a frame does not encode or is too large. */
  post(frame: Frame): void;
  theirs: Theirs;
  ours: Ours;
  handlers: Handlers<Ours>;
  /** Fires, with the reason, when the session has ended. */
  lost: AbortSignal;
}) {
  const { post, theirs, ours, handlers, lost } = parts;
  const pending = new Map<
    number,
    { method: string; resolve(body: unknown): void; reject(e: FleetError): void }
  >();
  let lastId = 0;
  let answering = 0;

  async function ask<K extends keyof Theirs & string>(
    method: K,
    body: Request<Theirs, K>,
    { timeoutMs, signal }: AskOptions,
  ): Promise<Reply<Theirs, K>> {
    if (lost.aborted) throw unanswered(method, lost.reason);
    if (signal?.aborted) throw firedBy(signal, method);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++lastId;
    pending.set(id, { method, resolve, reject });
    const giveUp = () => reject(firedBy(signal!, method));
    signal?.addEventListener('abort', giveUp, { once: true });
    const deadline = setDeadline(timeoutMs, () =>
      reject(new FleetError('timeout', `${method} was not answered within ${timeoutMs} ms`)),
    );
    try {
      post({ type: 'request', id, method, body });
      return decode(theirs[method]!.reply, await promise, `the answer to ${method}`) as Reply<Theirs, K>;
    } finally {
      clearTimeout(deadline);
      signal?.removeEventListener('abort', giveUp);
      pending.delete(id);
    }
  }

  async function answer(method: string, body: unknown): Promise<unknown> {
    if (!Object.hasOwn(ours, method))
      throw new FleetError('unknown_method', `this end does not know the message ${method}`, {
        next: 'Bring the controller and its agents to the same version of fleet.',
      });
    if (answering >= ANSWERING)
      throw new FleetError('bad_request', `more than ${ANSWERING} messages at the same time`);
    const request = decode(ours[method]!.request, body, method) as Request<Ours, keyof Ours>;
    answering += 1;
    try {
      return await handlers[method as keyof Ours](request, { signal: lost });
    } finally {
      answering -= 1;
    }
  }

  return {
    ask,
    async onRequest({ id, method, body }: { id: number; method: string; body: unknown }): Promise<void> {
      try {
        post({ type: 'reply', id, body: await answer(method, body) });
      } catch (error) {
        post({ type: 'error', id, error: wireError(error) });
      }
    },
    /** What nobody waits for any more is dropped; false then, as below. */
    onReply({ id, body }: { id: number; body: unknown }): boolean {
      const asked = pending.get(id);
      asked?.resolve(body);
      // A question is answered once.
      return asked !== undefined && pending.delete(id);
    },
    onError({ id, error }: { id: number; error: ErrorBody }): boolean {
      const asked = pending.get(id);
      asked?.reject(fromBody(error));
      return asked !== undefined && pending.delete(id);
    },
    end(reason: FleetError): void {
      for (const { method, reject } of pending.values()) reject(unanswered(method, reason));
    },
  };
}

function unanswered(method: string, reason: FleetError): FleetError {
  return new FleetError('link_lost', `${method} was not answered: ${reason.message}`, { cause: reason });
}

function decode(schema: Methods[string]['request'], body: unknown, what: string): unknown {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const complaints = result.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'body'}: ${message}`,
  );
  throw new FleetError(
    'bad_message',
    `${what} does not decode: ${complaints.join('; ').slice(0, COMPLAINT)}`,
  );
}
