/** The controller's HTTP API, typed by the same table that the controller serves. */

import {
  type BodyInput,
  BY_HEADER,
  EVENTS,
  type Params,
  type QueryInput,
  type Reply,
  ROUTES,
  type RouteName,
} from '@fleet/protocol/api/routes.ts';
import { CODES, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import { neutralise } from './print/escape.ts';

export const DEFAULT_CONTROLLER = 'http://127.0.0.1:7300';
/** Milliseconds for one answer. Nothing in the table takes long: what does is started, and then followed. */
const ANSWER_MS = 60_000;

type Given<K extends string, T> = [T] extends [undefined] ? { [P in K]?: undefined } : { [P in K]: T };
export type Question<N extends RouteName> = Given<'params', Params<N>> &
  Given<'query', QueryInput<N>> &
  Given<'body', BodyInput<N>>;

export interface Client {
  /** Where the controller is said to be. */
  readonly controller: string;
  /** Throws the controller's own FleetError, or `controller_unreachable`. */
  call<N extends RouteName>(name: N, question: Question<N>): Promise<Reply<N>>;
  /** The event stream of one topic after an event's number. `signal` ends it. */
  openEvents(topic: string, after: number, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

export interface ClientOptions {
  controller: string;
  /** Who asks, like alice@desk. */
  by: string;
  /** Ends every call. */
  signal: AbortSignal;
  /** Replies as they came, for programs; else what a terminal would obey is taken out of them, here and nowhere else. */
  verbatim?: boolean;
}

export function createClient({ controller, by, signal, verbatim = false }: ClientOptions): Client {
  const base = checkAddress(controller);
  const unreachable = (why: string, cause?: unknown) =>
    new FleetError('controller_unreachable', `no controller answers at ${base}: ${why}`, {
      next: 'start it with: fleet controller --config controller.yaml, or name another one with --controller URL',
      cause,
    });

  async function ask(path: string, init: RequestInit, ends: AbortSignal): Promise<Response> {
    const headers = { ...init.headers, [BY_HEADER]: by.replace(/[^\w.@+-]/g, '_').slice(0, 100) };
    let response: Response;
    try {
      response = await fetch(base + path, { redirect: 'error', ...init, headers, signal: ends });
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(reasonOf(error), error);
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => undefined);
    if (!isErrorBody(body))
      throw unreachable(`what answers there (status ${response.status}) is no controller`);
    throw fromBody(body);
  }

  return {
    controller: base,
    async call(name, question) {
      const { method, reply } = ROUTES[name];
      const { params, query, body } = question as { params?: object; query?: object; body?: object };
      const init: RequestInit = { method };
      if (body) {
        init.body = JSON.stringify(body);
        init.headers = { 'content-type': 'application/json' };
      }
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
      const response = await ask(fillPath(ROUTES[name].path, params) + queryString(query), init, deadline);
      const text = await response.text().catch((error) => {
        signal.throwIfAborted();
        throw unreachable(reasonOf(error), error);
      });
      const decoded = reply.safeParse(parseJson(text, verbatim));
      if (!decoded.success)
        throw new FleetError(
          'bad_message',
          `the controller's answer (${name}) is not one that this fleet understands`,
          {
            next: 'use the fleet program of the same version as the controller',
            cause: decoded.error,
          },
        );
      return decoded.data as Reply<typeof name>;
    },
    async openEvents(topic, after, ends) {
      const headers = { accept: 'text/event-stream', 'last-event-id': String(after) };
      const response = await ask(EVENTS.path + queryString({ topic, after }), { headers }, ends);
      if (!response.body) throw unreachable('the event stream is empty');
      return response.body;
    },
  };
}

/** Text that came from the controller as JSON; `undefined` where it is none. */
export function parseJson(text: string, verbatim = false): unknown {
  try {
    return JSON.parse(
      text,
      verbatim ? undefined : (_, value) => (typeof value === 'string' ? neutralise(value) : value),
    );
  } catch {
    return undefined;
  }
}

function checkAddress(controller: string): string {
  const url = URL.parse(controller);
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return controller.replace(/\/+$/, '');
  throw new FleetError('bad_request', `${controller} is not the address of a controller`, {
    next: `write it like ${DEFAULT_CONTROLLER}`,
  });
}

function fillPath(path: string, params: object | undefined): string {
  const given = new Map(Object.entries(params ?? {}));
  return path.replace(/:([a-z]+)/g, (_, name: string) => encodeURIComponent(String(given.get(name))));
}

function queryString(query: object | undefined): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? '' : `?${given}`;
}

function isErrorBody(body: unknown): body is ErrorBody {
  return (
    typeof body === 'object' &&
    body !== null &&
    'code' in body &&
    typeof body.code === 'string' &&
    Object.hasOwn(CODES, body.code) &&
    'message' in body &&
    typeof body.message === 'string'
  );
}

/** fetch says "fetch failed" and keeps the reason in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `nothing came within ${ANSWER_MS / 1000} s`;
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause && cause.code ? String(cause.code) : cause.message;
  return error.message;
}
