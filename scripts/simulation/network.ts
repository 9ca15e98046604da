/**
 * What is between the controller and its agents: requests, answers and transfers that are delayed, lost or cut, in the order of
 * one connection. Messages are decoded by the production schemas at both ends, and answered by the production handlers.
 */
import type { Agent } from '@fleet/agent/agent.ts';
import type { Agents } from '@fleet/controller/deploy/context.ts';
import { asFleetError, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Reply,
  type Request,
} from '@fleet/protocol/messages/methods.ts';
import type { Random } from '../random/random.ts';
import type { SimulatedClock } from './clock.ts';
import { type Deed, doing } from './deed.ts';
import type { SimulatedHost } from './host.ts';
import { type Life, never } from './life.ts';
import { Link } from './link.ts';
import { transfer, wire } from './transfer.ts';

type Method = keyof AgentMethods;
type Hello = Request<ControllerMethods, 'hello'>;

/** A peer that is silent is noticed after this long, in milliseconds. */
const SILENT = 17_500;

export type MessageTrouble =
  | 'request lost'
  | 'answer lost'
  | 'answer lost in silence'
  | 'late'
  | 'connection flaps';

/** Something that happens to the next message, or to one of the next, for this host. */
export interface Trouble {
  after: number;
  what: MessageTrouble;
}

export interface NetworkWatcher {
  onDelivered(host: SimulatedHost, deed: Deed | undefined): void;
  onAnswered(host: SimulatedHost, method: Method, request: unknown, reply: unknown, deed?: Deed): void;
  onRefused(host: SimulatedHost, method: Method, error: FleetError, deed?: Deed): void;
  /** A request is on its way for long, and whoever sent it may die meanwhile. */
  onStranded(): void;
  onFault(kind: MessageTrouble | 'transfer cut' | 'chunk damaged' | 'message from a dead controller'): void;
}

/** The controller's end of all connections, for one life of a controller. */
export class Network implements Agents {
  readonly #links = new Map<string, Link>();
  readonly #waiting = new Set<{ host: string; resolve(): void }>();
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #watcher: NetworkWatcher;
  readonly #life: Life;
  readonly #troubles: Map<string, Trouble[]>;
  readonly #files: ReadonlyMap<string, Buffer>;

  constructor(parts: {
    clock: SimulatedClock;
    random: Random;
    watcher: NetworkWatcher;
    life: Life;
    /** What will happen, by host. */
    troubles: Map<string, Trouble[]>;
    /** What it sends, by path. */
    files: ReadonlyMap<string, Buffer>;
  }) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#watcher = parts.watcher;
    this.#life = parts.life;
    this.#troubles = parts.troubles;
    this.#files = parts.files;
    void parts.life.ended.then(() => {
      for (const link of [...this.#links.values()]) link.end('the controller is gone');
    });
  }

  /** A host is connected from its hello on. `onHello` may refuse it. Resolves when the connection has ended. */
  async connect(
    host: SimulatedHost,
    agent: Agent,
    life: Life,
    onHello: (hello: Hello) => Promise<void>,
  ): Promise<void> {
    const hello = CONTROLLER_METHODS.hello.request.parse(wire(await agent.hello()));
    await Promise.race([onHello(hello), this.#life.ended]);
    if (this.#life.over || life.over) return;
    this.#links.get(host.name)?.end('it has connected anew');
    const link = new Link(host, agent, life, () => {
      if (this.#links.get(host.name) === link) this.#links.delete(host.name);
    });
    this.#links.set(host.name, link);
    void life.ended.then(() =>
      this.#clock.after(this.#random.pick([1, SILENT]), () => link.end('it is gone')),
    );
    for (const waiter of this.#waiting) if (waiter.host === host.name) waiter.resolve();
    return link.ended;
  }

  /** Nothing gets through any more, and both ends know it after a while. */
  cut(name: string, noticedAfterMs = this.#random.pick([1, SILENT])): boolean {
    const link = this.#links.get(name);
    if (link === undefined || !link.open) return false;
    link.open = false;
    this.#clock.after(noticedAfterMs, () => link.end('the connection was lost'));
    return true;
  }

  isConnected(host: string): boolean {
    return this.#links.has(host);
  }

  policyOf(): undefined {
    return undefined;
  }

  async whenConnected(host: string, signal: AbortSignal): Promise<void> {
    if (this.#links.has(host)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { host, resolve };
    const giveUp = () => reject(new FleetError('unreachable', `${host} is not connected`));
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.add(waiter);
    try {
      await promise;
    } finally {
      this.#waiting.delete(waiter);
      signal.removeEventListener('abort', giveUp);
    }
  }

  async ask<M extends Method>(
    name: string,
    method: M,
    body: Request<AgentMethods, M>,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Reply<AgentMethods, M>> {
    const link = this.#linkOf(name);
    const request = AGENT_METHODS[method].request.parse(wire(body)) as Request<AgentMethods, M>;
    const { promise, resolve, reject } = Promise.withResolvers<Reply<AgentMethods, M>>();
    this.#exchange(link, method, request).then(resolve, reject);
    const takeBack = this.#clock.after(timeoutMs, () =>
      reject(new FleetError('timeout', `${method} was not answered within ${timeoutMs} ms`)),
    );
    try {
      return await link.unlessLost(promise, signal);
    } finally {
      takeBack();
    }
  }

  async send(name: string, stream: Parameters<Agents['send']>[1]): Promise<void> {
    const link = this.#linkOf(name);
    const sending = transfer(link, stream, {
      clock: this.#clock,
      random: this.#random,
      content: this.#files.get(stream.path)!,
      arrive: () => this.#arrive(link),
      trouble: () => this.#trouble(name),
      cut: () => this.cut(name),
      onFault: this.#watcher.onFault,
    });
    await link.unlessLost(sending, stream.signal);
  }

  #linkOf(name: string): Link {
    const link = this.#links.get(name);
    if (link === undefined) throw new FleetError('unreachable', `${name} is not connected`);
    return link;
  }

  /** The trouble that is due now. */
  #trouble(host: string): MessageTrouble | undefined {
    const [next] = this.#troubles.get(host) ?? [];
    if (next === undefined || next.after-- > 0) return undefined;
    this.#troubles.get(host)!.shift();
    this.#watcher.onFault(next.what);
    return next.what;
  }

  async #exchange<M extends Method>(
    link: Link,
    method: M,
    request: Request<AgentMethods, M>,
  ): Promise<Reply<AgentMethods, M>> {
    const { host } = link;
    const trouble = this.#trouble(host.name);
    if (trouble === 'late' && this.#random.chance(0.4)) this.#watcher.onStranded();
    await this.#arrive(link, trouble === 'late' ? this.#random.between(100, 20_000) : undefined);
    if (trouble === 'request lost') this.cut(host.name);
    if (trouble === 'connection flaps') this.cut(host.name, 1);
    if (!link.open && !(await this.#comesFromTheDead(link))) return never();
    const deed = 'command' in request ? { method, command: request.command } : undefined;
    const outcome = await this.#answer(link, method, request, deed);
    if (trouble === 'answer lost') this.cut(host.name, 1);
    if (trouble === 'answer lost in silence') this.cut(host.name, SILENT);
    await this.#clock.sleep(this.#random.between(0.2, 3));
    if (!link.open || this.#life.over) return never();
    if ('error' in outcome) throw fromBody(wire(outcome.error));
    return AGENT_METHODS[method].reply.parse(wire(outcome.reply)) as Reply<AgentMethods, M>;
  }

  async #answer<M extends Method>(
    link: Link,
    method: M,
    request: Request<AgentMethods, M>,
    deed: Deed | undefined,
  ): Promise<{ reply: unknown } | { error: ErrorBody }> {
    const { host } = link;
    this.#watcher.onDelivered(host, deed);
    const handler = link.agent.handlers[method] as (
      body: Request<AgentMethods, M>,
      context: { signal: AbortSignal },
    ) => Promise<unknown>;
    try {
      const reply = await doing(deed, () => handler(request, { signal: link.lost.signal }));
      this.#watcher.onAnswered(host, method, request, reply, deed);
      return { reply };
    } catch (thrown) {
      const error = asFleetError(thrown);
      this.#watcher.onRefused(host, method, error, deed);
      return { error: error.toJSON() };
    }
  }

  /** A request that was sent before the controller died may still arrive, also long after its successor has spoken. */
  async #comesFromTheDead(link: Link): Promise<boolean> {
    if (!this.#life.over || !this.#random.chance(0.7)) return false;
    await this.#clock.sleep(this.#random.between(0, 40_000));
    if (link.life.over) return false;
    this.#watcher.onFault('message from a dead controller');
    return true;
  }

  /** Messages of one connection arrive in their order. */
  async #arrive(link: Link, delay = this.#random.between(0.2, 3)): Promise<void> {
    link.busyUntil = Math.max(link.busyUntil, this.#clock.now() + delay);
    await this.#clock.sleep(link.busyUntil - this.#clock.now());
  }
}
