/**
 * Keeps one connection to `url`: dials, hands the open socket to `connect`, waits until the session that comes back has ended,
 * and dials again, until `signal` fires.
 *
 *     await dial({ url: 'ws://127.0.0.1:7300/agents', log, signal, connect: async (socket) => {
 *       const session = openSession({          // before the first await, or frames are missed
 *         socket, handlers, receive,
 *         ours: AGENT_METHODS, theirs: CONTROLLER_METHODS,
 *       });
 *       await session.ask('hello', await describeHost(), { timeoutMs: 10_000 });
 *       return session;                        // connected; what is thrown instead ends this try
 *     } });
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { asFleetError, CODES, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import { WebSocket } from 'ws';
import { SOCKET_LIMITS } from './limits.ts';
import type { Log } from './log.ts';
import type { Session } from './session.ts';
import { untrusted } from './untrusted.ts';

const HANDSHAKE_MS = 10_000;
/** A session that lived this long was a good one: the next pause is short again. */
const STEADY_MS = 2000;
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** Bytes that are read of a refusal. */
const REFUSAL = 4096;

type SecureOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'servername' | 'minVersion' | 'maxVersion' | 'rejectUnauthorized'
>;
type Connection = Pick<Session<never>, 'closed' | 'close'>;

export interface DialOptions {
  url: string;
  /** Asked for before each try, because certificates are renewed: options of `tls.connect`. Throws where it should not be tried. */
  tls?: () => Promise<SecureOptions>;
  /** Called as soon as the socket is open. */
  connect(socket: WebSocket): Promise<Connection>;
  log: Log;
  /** Closes the connection and ends the dialling. */
  signal: AbortSignal;
}

/** Resolves when `signal` has fired and the last session has ended. Throws only where `url` is none. */
export async function dial({ url, tls, connect, log, signal }: DialOptions): Promise<void> {
  let goodUntil = performance.now();
  let said: string | undefined;
  while (!signal.aborted) {
    let since = Number.POSITIVE_INFINITY;
    const error = await dialOnce({ url, tls, connect, signal }, () => {
      since = performance.now();
      said = undefined;
      log.info({ url }, 'connected');
    });
    if (signal.aborted) break;
    // The same failure, try after try, is said once.
    if (error.message !== said) log.warn({ url, code: error.code, next: error.next }, error.message);
    said = error.message;
    const now = performance.now();
    if (now - since >= STEADY_MS) goodUntil = now;
    await sleep(pauseAfter(now - goodUntil, Math.random()), undefined, { signal }).catch(() => {});
  }
  log.info({ url }, 'stopped');
}

/**
 * Milliseconds to wait before the next try where there has been no good connection for `awayMs`. At most half of that time: a
 * controller that was restarted in a second is not waited for much longer than it took. Full jitter (`chance` from 0 to 1 decides
 * how much of the pause is taken), so that a thousand agents do not come back to it in one moment.
 */
export function pauseAfter(awayMs: number, chance: number): number {
  return chance * Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, awayMs / 2));
}

/** One connection from beginning to end; the error is why it ended, or why there was none. */
async function dialOnce(
  { url, tls, connect, signal }: Omit<DialOptions, 'log' | 'tls'> & { tls: DialOptions['tls'] | undefined },
  onConnected: () => void,
): Promise<FleetError> {
  let secure: SecureOptions = {};
  try {
    secure = (await tls?.()) ?? {};
  } catch (error) {
    return asFleetError(error);
  }
  const socket = new WebSocket(url, {
    ...SOCKET_LIMITS,
    ...secure,
    handshakeTimeout: HANDSHAKE_MS,
  });
  let connection: Connection | undefined;
  const stop = () =>
    connection === undefined ? socket.terminate() : connection.close('this end is stopping');
  signal.addEventListener('abort', stop, { once: true });
  try {
    connection = await opened(socket, url, connect);
    if (signal.aborted) stop();
    else onConnected();
    return await connection.closed;
  } catch (error) {
    socket.terminate();
    return asFleetError(error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** What `connect` makes of the socket. It is called in the very event, so that it misses no frame. */
function opened(socket: WebSocket, url: string, connect: DialOptions['connect']): Promise<Connection> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(Promise.try(connect, socket)));
    socket.once('unexpected-response', (_request, response) => void refusal(url, response).then(reject));
    // After 'open' this one comes too late to matter, and is there because an error without a listener ends the process.
    socket.on('error', (cause) => reject(untrusted(url, cause) ?? unanswered(url, cause)));
  });
}

/** What whoever answers there says instead of taking us in. */
async function refusal(url: string, response: IncomingMessage): Promise<FleetError> {
  response.on('error', () => {});
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk;
    if (text.length > REFUSAL) break;
  }
  const body = errorBodyIn(text);
  if (body !== undefined) return fromBody(body);
  return unanswered(url, new Error(`Unexpected server response: ${response.statusCode}`));
}

function errorBodyIn(text: string): ErrorBody | undefined {
  try {
    const { code, message, next } = JSON.parse(text) as Partial<ErrorBody>;
    if (typeof code !== 'string' || !Object.hasOwn(CODES, code) || typeof message !== 'string')
      return undefined;
    return { code, message, next: typeof next === 'string' ? next : undefined };
  } catch {
    return undefined;
  }
}

function unanswered(url: string, cause: Error & { code?: string }): FleetError {
  return new FleetError('controller_unreachable', `no connection to ${url}: ${cause.message || cause.code}`, {
    next: 'Start the controller there (`fleet controller`), or correct the address.',
    cause,
  });
}
