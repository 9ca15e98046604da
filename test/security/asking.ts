/** How somebody asks a controller over TLS: a route, or a message on the agents' link; and what it gets, in one word or two. */
import { on, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { encodeFrame } from '@fleet/protocol/codec.ts';
import { WebSocket } from 'ws';

export interface Answer {
  status: number;
  text: string;
}
export interface Shown {
  tls: ConnectionOptions;
  headers: Record<string, string>;
}
interface Call {
  method?: string | undefined;
  path: string;
  body?: unknown;
}

let asked = 0;
/**
 * Every question comes from another address of loopback, so that nobody is refused for asking too often, and over a connection of
 * its own.
 */
const fresh = () => {
  asked += 1;
  return {
    host: '127.0.0.1',
    localAddress: `127.1.${asked >> 8}.${asked & 0xff || 255}`,
    agent: false as const,
  };
};

/** Undefined where the connection was cut before there was an answer. */
export async function askRoute(
  port: number,
  { tls, headers }: Shown,
  { method = 'GET', path, body }: Call,
): Promise<Answer | undefined> {
  const content = body === undefined ? undefined : JSON.stringify(body);
  const written = content !== undefined && {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(content),
  };
  const asking = request({ ...fresh(), ...tls, port, method, path, headers: { ...headers, ...written } });
  asking.end(content);
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage];
    const { statusCode: status = 0 } = response;
    // A stream that somebody was let in to does not end.
    if (response.headers['content-type'] === 'text/event-stream') return { status, text: '' };
    return { status, text: await textOf(response) };
  } catch {
    return undefined;
  } finally {
    asking.on('error', () => {}).destroy();
  }
}

interface Message {
  method: string;
  body: unknown;
}

/** What the agents' link answers to the last of some messages, each sent when the one before was answered. */
export async function askOverLink(
  port: number,
  { tls, headers }: Shown,
  messages: readonly Message[],
): Promise<Answer | { said: string } | undefined> {
  const { host, localAddress } = fresh();
  const socket = new WebSocket(`wss://${host}:${port}${AGENT_PATH}`, {
    ...tls,
    localAddress,
    headers,
    perMessageDeflate: false,
  });
  const opened = Promise.withResolvers<Answer | undefined>();
  socket.on('unexpected-response', (_request, response) => {
    void textOf(response).then((text) => opened.resolve({ status: response.statusCode ?? 0, text }));
  });
  socket.on('error', () => opened.resolve(undefined));
  socket.on('open', () => opened.resolve({ status: 101, text: '' }));
  try {
    const answer = await opened.promise;
    if (answer?.status !== 101) return answer;
    let sent = 0;
    const next = () => socket.send(encodeFrame({ type: 'request', id: ++sent, ...messages[sent - 1]! }));
    next();
    for await (const [data] of on(socket, 'message', { close: ['close'] })) {
      const { type, id, error } = JSON.parse(String(data)) as {
        type: string;
        id?: number;
        error?: { code: string };
      };
      if (id !== sent || (type !== 'reply' && type !== 'error')) continue;
      if (sent === messages.length || error) return { said: error?.code ?? 'let in' };
      next();
    }
    return { said: 'closed' };
  } finally {
    socket.terminate();
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return text;
}
