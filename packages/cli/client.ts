/** The controller's HTTP API, typed by the same table that the controller serves. */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import type { Download } from '@fleet/protocol/api/programs.ts';
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
import { clientOptions } from '@fleet/trust/tls.ts';
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
  /** Sends what a route takes that takes no JSON. */
  upload(name: 'releases.push', content: Readable): Promise<Reply<'releases.push'>>;
  /** Begins to read what a route gives that is no JSON. Reading on throws `controller_unreachable` where it breaks off. */
  download(name: 'programs.fetch', question: Question<'programs.fetch'>): Promise<Download>;
  /** The event stream of one topic after an event's number. `signal` ends it. */
  openEvents(topic: string, after: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** What to know the controller by, and to be known. */
export interface Credentials {
  token: string;
  /** The fleet's own authority, PEM: whoever is not certified by it gets no token. */
  ca: string;
}

export interface ClientOptions {
  /** `https:`, or `http:` to this very machine, where nobody is asked who they are. */
  controller: string;
  /** Needed for `https:`, and never sent over anything else. */
  credentials?: Credentials | undefined;
  /** Who asks, like alice@desk, where nobody is asked for a token. */
  by: string;
  /** Ends every call. */
  signal: AbortSignal;
  /** Replies as they came, for programs; else what a terminal would obey is taken out of them, here and nowhere else. */
  verbatim?: boolean;
}

interface Message {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Readable;
}

/** Throws `bad_request` for an address that is none, `unauthenticated` where nobody is logged in. */
export function createClient({
  controller,
  credentials,
  by,
  signal,
  verbatim = false,
}: ClientOptions): Client {
  const base = checkAddress(controller);
  const send = base.startsWith('https:') ? overTls(credentials, base) : inPlain(by);

  async function ask(message: Message, ends: AbortSignal): Promise<IncomingMessage> {
    let response: IncomingMessage;
    try {
      const path = new URL(base).pathname.replace(/\/$/, '') + message.path;
      response = await send(base, { ...message, path }, ends);
    } catch (error) {
      signal.throwIfAborted();
      throw unanswered(base, error);
    }
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const body = parseJson(await readText(response).catch(() => ''), verbatim);
    if (!isErrorBody(body)) throw unreachable(base, `what answers there (status ${status}) is no controller`);
    throw fromBody(body);
  }

  async function decode<N extends RouteName>(name: N, response: IncomingMessage): Promise<Reply<N>> {
    const text = await readText(response).catch((error) => {
      signal.throwIfAborted();
      throw unanswered(base, error);
    });
    const decoded = ROUTES[name].reply.safeParse(parseJson(text, verbatim));
    if (decoded.success) return decoded.data as Reply<N>;
    throw new FleetError(
      'bad_message',
      `the controller's answer (${name}) is not one that this fleet understands`,
      {
        next: 'use the fleet program of the same version as the controller',
        cause: decoded.error,
      },
    );
  }

  /** What breaks off in the middle is told like what never began. */
  async function* whole(content: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      yield* content;
    } catch (error) {
      signal.throwIfAborted();
      throw unanswered(base, error);
    }
  }

  return {
    controller: base,
    async call(name, question) {
      const { method } = ROUTES[name];
      const { params, query, body } = question as { params?: object; query?: object; body?: object };
      const message: Message = { method, path: fillPath(ROUTES[name].path, params) + queryString(query) };
      if (body) {
        message.body = JSON.stringify(body);
        message.headers = { 'content-type': 'application/json' };
      }
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
      return decode(name, await ask(message, deadline));
    },
    async upload(name, content) {
      const { method, path, takes } = ROUTES[name];
      // However long it takes: the controller ends what does not move.
      return decode(
        name,
        await ask({ method, path, headers: { 'content-type': takes }, body: content }, signal),
      );
    },
    async download(name, { params }) {
      const { method, path } = ROUTES[name];
      // However long it takes to read: what does not begin is ended.
      const ends = new AbortController();
      const late = setTimeout(() => ends.abort(new DOMException('late', 'TimeoutError')), ANSWER_MS);
      const content = await ask(
        { method, path: fillPath(path, params) },
        AbortSignal.any([signal, ends.signal]),
      ).finally(() => clearTimeout(late));
      return { size: Number(content.headers['content-length']), content: whole(content) };
    },
    async openEvents(topic, after, ends) {
      const headers = { accept: 'text/event-stream', 'last-event-id': String(after) };
      return ask({ method: 'GET', path: EVENTS.path + queryString({ topic, after }), headers }, ends);
    },
  };
}

type Send = (base: string, message: Message, signal: AbortSignal) => Promise<IncomingMessage>;

/** The token goes only to whoever the fleet's own authority certifies. */
function overTls(credentials: Credentials | undefined, base: string): Send {
  if (credentials === undefined)
    throw new FleetError('unauthenticated', `nobody is logged in here, and ${base} asks who it is`, {
      next: 'fleet login, with the string of `fleet people add`',
    });
  const agent = new HttpsAgent({ ...clientOptions({ ca: credentials.ca }), keepAlive: false });
  const authorization = `Bearer ${credentials.token}`;
  return (url, { body, path, method, headers }, signal) =>
    answered(
      httpsRequest(new URL(url), { agent, method, path, headers: { ...headers, authorization }, signal }),
      body,
    );
}

function inPlain(by: string): Send {
  const agent = new HttpAgent({ keepAlive: false });
  const who = { [BY_HEADER]: by.replace(/[^\w.@+-]/g, '_').slice(0, 100) };
  return (url, { body, path, method, headers }, signal) =>
    answered(
      httpRequest(new URL(url), { agent, method, path, headers: { ...headers, ...who }, signal }),
      body,
    );
}

function answered(request: ClientRequest, body: Message['body']): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.once('response', (response) => {
      // Whoever reads it hears of it too; an error without a listener ends the process.
      response.on('error', () => {});
      resolve(response);
    });
    if (typeof body === 'object') body.on('error', reject).pipe(request);
    else request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
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
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url?.hostname ?? '');
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback))
    return controller.replace(/\/+$/, '');
  if (url?.protocol === 'http:')
    throw new FleetError(
      'bad_request',
      `${controller} is plain: nothing goes there unless it is this very machine`,
      {
        next: `write it like ${controller.replace(/^http:/, 'https:')}`,
      },
    );
  throw new FleetError('bad_request', `${controller} is not the address of a controller`, {
    next: 'write it like https://10.0.0.1:7300',
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

function unreachable(base: string, why: string, cause?: unknown): FleetError {
  return new FleetError('controller_unreachable', `no controller answers at ${base}: ${why}`, {
    next: 'start it with: fleet controller --config controller.yaml, or name another one with --controller URL',
    cause,
  });
}

/** What TLS says of a certificate that is not good now. */
const OUT_OF_TIME = /^CERT_(NOT_YET_VALID|HAS_EXPIRED)$/;
/** And of one that is not the controller's. */
const NOT_ITS_OWN =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_\w+|INVALID_\w+|ERR_TLS_CERT_\w+)$/;

/** Why nothing came, or why it is not believed. */
function unanswered(base: string, error: unknown): FleetError {
  if (!(error instanceof Error)) return unreachable(base, String(error), error);
  const code = 'code' in error ? String(error.code) : '';
  if (OUT_OF_TIME.test(code))
    return new FleetError(
      'clock_off',
      `the certificate of ${base} is not good by this machine’s clock (${code})`,
      {
        next: 'compare what `date` says here and on the controller; it renews its certificate by itself',
        cause: error,
      },
    );
  if (NOT_ITS_OWN.test(code))
    return new FleetError(
      'wrong_authority',
      `who answers at ${base} is not the controller of this login (${code})`,
      {
        next: 'fleet login anew if the fleet was made anew; else somebody is between you and the controller',
        cause: error,
      },
    );
  const late = [error, error.cause].some((each) => each instanceof Error && each.name === 'TimeoutError');
  if (late) return unreachable(base, `nothing came within ${ANSWER_MS / 1000} s`, error);
  return unreachable(base, code || error.message, error);
}
