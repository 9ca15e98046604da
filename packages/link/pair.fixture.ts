/** Two ends of one WebSocket over loopback, and sessions on them as controller and agent have them. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Handlers,
  type Request,
} from '@fleet/protocol/messages/methods.ts';
import { WebSocket } from 'ws';
import { acceptAgents, anybody } from './listen.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';

export interface Teardown {
  teardown(fn: () => unknown): void;
}

export const PATH = '/agents';

export async function listening(t: Teardown, server: Server = createServer(), port = 0): Promise<string> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`;
}

/** Sockets without sessions. `through` may put a proxy before the server: url in, url out. */
export async function openSockets(
  t: Teardown,
  through: (url: string) => Promise<string> | string = (url) => url,
): Promise<{ dialled: WebSocket; accepted: WebSocket }> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<WebSocket>();
  const acceptor = acceptAgents({ server, path: PATH, identify: anybody, onSocket: resolve });
  t.teardown(() => acceptor.close());
  const dialled = new WebSocket(await through(await listening(t, server)), { perMessageDeflate: false });
  dialled.on('error', () => {});
  t.teardown(() => dialled.terminate());
  return { dialled, accepted: await promise.then((accepted) => opened(dialled, accepted)) };
}

async function opened(dialled: WebSocket, accepted: WebSocket): Promise<WebSocket> {
  if (dialled.readyState !== WebSocket.OPEN) await once(dialled, 'open');
  return accepted;
}

type Options<M extends ControllerMethods | AgentMethods> = Partial<
  Pick<SessionOptions<M, M>, 'receive' | 'heartbeatMs' | 'progressMs' | 'unasked' | 'errorCodes'>
>;

/** The controller's end: asks agents. */
export function asController(
  socket: WebSocket,
  more: Options<ControllerMethods> & { hello?: Handlers<ControllerMethods>['hello'] } = {},
): Session<AgentMethods> {
  const { hello = notHere, ...options } = more;
  return openSession({
    socket,
    theirs: AGENT_METHODS,
    ours: CONTROLLER_METHODS,
    handlers: { hello, 'identity.renew': notHere },
    ...options,
  });
}

/** The agent's end: answers what `handlers` has. */
export function asAgent(
  socket: WebSocket,
  more: Options<AgentMethods> & { handlers?: Partial<Handlers<AgentMethods>> } = {},
): Session<ControllerMethods> {
  const { handlers, ...options } = more;
  return openSession({
    socket,
    theirs: CONTROLLER_METHODS,
    ours: AGENT_METHODS,
    handlers: { ...NONE, ...handlers },
    ...options,
  });
}

export async function openPair(
  t: Teardown,
  more: { controller?: Parameters<typeof asController>[1]; agent?: Parameters<typeof asAgent>[1] } = {},
) {
  const { dialled, accepted } = await openSockets(t);
  const agent = asAgent(dialled, more.agent);
  const controller = asController(accepted, more.controller);
  return { dialled, accepted, agent, controller };
}

async function notHere(): Promise<never> {
  throw new FleetError('internal', 'this test does not answer that');
}
const NONE = Object.fromEntries(
  Object.keys(AGENT_METHODS).map((method) => [method, notHere]),
) as unknown as Handlers<AgentMethods>;

export function helloFrom(host: string, more: Partial<Request<ControllerMethods, 'hello'>> = {}) {
  return {
    protocol: { min: 1, max: 1 },
    agent: '0.1.0',
    host,
    instance: crypto.randomUUID(),
    labels: {},
    platform: 'linux-x64',
    bootId: 'boot',
    services: [],
    freeDisk: 1,
    ...more,
  };
}
