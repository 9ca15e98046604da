/**
 * Who is connected: one session a host, from its hello on. A host counts as connected once its hello was taken in by `onHello`
 * and answered. One name is one agent: the same agent coming back replaces its old session, another one is refused.
 */
import type { Server } from 'node:http';
import { type AcceptOptions, acceptAgents, anybody } from '@fleet/link/listen.ts';
import type { Log } from '@fleet/link/log.ts';
import { openSession, type Session } from '@fleet/link/session.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Reply,
  type Request,
} from '@fleet/protocol/messages/methods.ts';
import type { ToldPolicy } from '@fleet/protocol/policy.ts';
import { nameInUse, otherHost, stopping, unreachable, withHost } from './errors.ts';
import type { Identities, Identity } from './identities.ts';
import { agreedProtocol } from './protocol.ts';
import { SAYINGS } from './sayings.ts';

const HELLO_MS = 10_000;
/** An identity that was ended loses its open connection after this time at most. */
const SWEEP_MS = 5000;

export type Hello = Request<ControllerMethods, 'hello'>;
type AgentSession = Session<AgentMethods>;

export interface AgentsOptions {
  server: Server;
  /** Where agents connect, like /agents. */
  path: string;
  /** Who may connect, and as who. Without it, in development, everybody is who they say. */
  identities?: Identities | undefined;
  /** This fleet's id. */
  fleet: string;
  /** Of the controller's program. */
  version: string;
  log: Log;
  /** Awaited before the hello is answered and before the host counts as connected. What it throws refuses the agent. */
  onHello(hello: Hello): Promise<void>;
  /** Awaited before the host counts as connected, when it answers already. What it throws is logged, and keeps nobody out. */
  onGreeted?(hello: Hello, ask: AgentSession['ask']): Promise<void>;
  /** A host counts as connected from here on. */
  onConnected?(host: string): void;
  /** A host that `onHello` has taken in is not connected any more. Not called by `close`. */
  onGone(host: string): void;
  /** See `openSession`. */
  heartbeatMs?: number;
  /** An agent that has not said hello by then is cut off. */
  helloMs?: number;
}

export interface Agents {
  /** Throws `unreachable`, `link_lost`, `timeout`, or the agent's own error; `data.host` names the host. */
  ask<K extends keyof AgentMethods & string>(
    host: string,
    method: K,
    body: Request<AgentMethods, K>,
    options: Parameters<AgentSession['ask']>[2],
  ): Promise<Reply<AgentMethods, K>>;
  send(host: string, sending: Parameters<AgentSession['send']>[0]): Promise<void>;
  isConnected(host: string): boolean;
  /** What a connected host says that its agent.yaml lets be done on it. */
  policyOf(host: string): ToldPolicy | undefined;
  /** Resolves at once for a host that is connected. Throws `unreachable` when `signal` fires first. */
  whenConnected(host: string, signal: AbortSignal): Promise<void>;
  /** What a connected host said last. */
  hello(host: string): Hello | undefined;
  /** Looks at every open connection, and ends those whose identity was ended. It does so by itself every few seconds. */
  sweep(): Promise<void>;
  /** Ends every session and takes no more. The HTTP server stays. */
  close(): Promise<void>;
}

interface Connection {
  session: AgentSession;
  hello: Hello;
  /** Its hello was answered. */
  connected: boolean;
}

export function createAgents(options: AgentsOptions): Agents {
  const { server, path, identities, fleet, version, log, onHello, onGreeted, onConnected, onGone } = options;
  const { heartbeatMs, helloMs = HELLO_MS } = options;
  /** Connections of agents that are known by their certificates, greeted or not. */
  const identified = new Map<AgentSession, Identity>();
  const connections = new Map<string, Connection>();
  /** Hosts that `onHello` has taken in and `onGone` has not been told of. */
  const takenIn = new Set<string>();
  const waiting = new Set<{ host: string; resolve(): void; reject(error: FleetError): void }>();
  let closing = false;

  const onSocket: AcceptOptions<Identity | undefined>['onSocket'] = (socket, known, identity) => {
    const session: AgentSession = openSession({
      socket,
      theirs: AGENT_METHODS,
      ours: CONTROLLER_METHODS,
      handlers: { hello: greet, 'identity.renew': renew },
      errorCodes: SAYINGS,
      ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
    });
    const late = setTimeout(() => session.close(`no hello within ${helloMs} ms`), helloMs);
    void session.closed.then(() => {
      clearTimeout(late);
      identified.delete(session);
    });
    if (identity !== undefined) {
      // One that was opened before and has not said hello yet is given up: an agent has one.
      for (const [other, { key }] of identified)
        if (key === identity.key && !isConnection(other)) other.close('the agent has connected anew');
      identified.set(session, identity);
    }

    let greeted = false;
    async function greet(said: Hello) {
      const hello = identity === undefined ? said : { ...said, labels: identity.labels };
      try {
        if (greeted) throw new FleetError('bad_message', `${hello.host}: a second hello`);
        greeted = true;
        if (identity !== undefined && identity.host !== hello.host)
          throw otherHost(identity.host, hello.host);
        const protocol = agreedProtocol(hello, version);
        const connection = claim(hello, session);
        clearTimeout(late);
        known();
        await takeIn(connection);
        // The answer is on its way before anybody asks the host something.
        setImmediate(() => void introduce(connection).then(() => admit(connection)));
        return { protocol, fleet };
      } catch (error) {
        const { code, message, next } = asFleetError(error);
        log.warn({ host: hello.host, code, next }, message);
        setImmediate(() => session.close('the hello was refused'));
        throw error;
      }
    }
    async function renew() {
      if (!greeted) throw new FleetError('bad_message', 'nothing is answered before the hello');
      if (identity === undefined || identities === undefined)
        throw new FleetError('not_enrolled', 'nobody has a certificate in development');
      return { certificate: await identities.renew(identity) };
    }
  };

  function isConnection(session: AgentSession): boolean {
    return [...connections.values()].some((connection) => connection.session === session);
  }

  async function sweep(): Promise<void> {
    for (const [session, identity] of identified) {
      try {
        await identities?.check(identity);
      } catch (thrown) {
        const { code, message } = asFleetError(thrown);
        if (code !== 'not_enrolled') throw thrown;
        session.close(message);
      }
    }
  }
  const sweeping = setInterval(() => {
    sweep().catch((error: unknown) => log.warn({ err: error }, 'open connections were not looked at'));
  }, SWEEP_MS).unref();

  /** Takes the host's name for this session, from an older session of the same agent if need be. */
  function claim(hello: Hello, session: AgentSession): Connection {
    const { host, instance } = hello;
    const older = connections.get(host);
    if (older !== undefined && older.hello.instance !== instance) throw nameInUse(host);
    const connection = { session, hello, connected: false };
    connections.set(host, connection);
    older?.session.close(`${host} has connected anew`);
    void session.closed.then((reason) => release(connection, reason));
    return connection;
  }

  async function takeIn(connection: Connection): Promise<void> {
    const { host } = connection.hello;
    try {
      await onHello(connection.hello);
      takenIn.add(host);
      if (!connections.has(host)) forget(host); // Lost meanwhile.
    } catch (error) {
      release(connection, asFleetError(error));
      throw error;
    }
  }

  async function introduce({ hello, session }: Connection): Promise<void> {
    try {
      await onGreeted?.(hello, session.ask);
    } catch (error) {
      const { code, message, next } = asFleetError(error);
      log.warn({ host: hello.host, code, next }, message);
    }
  }

  function admit(connection: Connection): void {
    const { host, agent } = connection.hello;
    if (connections.get(host) !== connection) return;
    connection.connected = true;
    log.info({ host, agent }, 'agent connected');
    for (const waiter of waiting) if (waiter.host === host) waiter.resolve();
    onConnected?.(host);
  }

  /** Frees the name, unless a newer session has it. */
  function release(connection: Connection, reason: FleetError): void {
    const { host } = connection.hello;
    if (connections.get(host) !== connection) return;
    connections.delete(host);
    log.info({ host, reason: reason.message }, 'agent gone');
    forget(host);
  }

  function forget(host: string): void {
    if (takenIn.delete(host) && !closing) onGone(host);
  }

  function sessionOf(host: string): AgentSession {
    const connection = connections.get(host);
    if (!connection?.connected) throw unreachable(host);
    return connection.session;
  }

  const identify = identities === undefined ? anybody : identities.of;
  const acceptor = acceptAgents<Identity | undefined>({ server, path, identify, onSocket });

  return {
    ask: (host, method, body, options) => withHost(host, () => sessionOf(host).ask(method, body, options)),
    send: (host, sending) => withHost(host, () => sessionOf(host).send(sending)),
    policyOf: (host) => (connections.get(host)?.connected ? connections.get(host)?.hello.policy : undefined),
    isConnected: (host) => connections.get(host)?.connected ?? false,
    hello: (host) => (connections.get(host)?.connected ? connections.get(host)?.hello : undefined),
    sweep,
    async whenConnected(host, signal) {
      if (connections.get(host)?.connected) return;
      if (signal.aborted) throw unreachable(host, signal.reason);
      if (closing) throw stopping();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const waiter = { host, resolve, reject };
      const giveUp = () => reject(unreachable(host, signal.reason));
      signal.addEventListener('abort', giveUp, { once: true });
      waiting.add(waiter);
      try {
        await promise;
      } finally {
        waiting.delete(waiter);
        signal.removeEventListener('abort', giveUp);
      }
    },
    async close() {
      closing = true;
      clearInterval(sweeping);
      for (const waiter of waiting) waiter.reject(stopping());
      for (const { session } of connections.values()) session.close('the controller is stopping');
      await acceptor.close();
    },
  };
}
