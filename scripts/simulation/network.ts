/**
 * What is between the controller and its agents: requests, answers and transfers that are delayed, lost or cut, in the order of
 * one connection. Messages are decoded by the production schemas at both ends, and answered by the production handlers.
 */
import type { Agent } from '@fleet/agent/agent.ts';
import type { Agents } from '@fleet/controller/deploy/context.ts';
import type { Sink } from '@fleet/link/receiving.ts';
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

/** One connection of one life of an agent with one life of a controller. */
class Link {
  /** Whether anything still gets through. */
  open = true;
  /** The time until which it is busy with earlier messages. */
  busyUntil = 0;
  readonly lost = new AbortController();
  readonly ended: Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  readonly host: SimulatedHost;
  readonly agent: Agent;
  readonly life: Life;
  readonly #waiting = new Set<(error: FleetError) => void>();
  readonly #onEnd: () => void;

  constructor(host: SimulatedHost, agent: Agent, life: Life, onEnd: () => void) {
    this.host = host;
    this.agent = agent;
    this.life = life;
    this.#onEnd = onEnd;
    this.ended = this.#end.promise;
  }

  end(why: string): void {
    this.open = false;
    if (this.lost.signal.aborted) return;
    this.lost.abort();
    this.#end.resolve();
    this.#onEnd();
    for (const reject of this.#waiting) reject(new FleetError('link_lost', `${this.host.name}: ${why}`));
  }

  /** Rejects with `link_lost` when the connection ends first, and with what `signal` says. */
  async unlessLost<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const stop = () => reject(signal?.reason);
    this.#waiting.add(reject);
    signal?.addEventListener('abort', stop, { once: true });
    if (this.lost.signal.aborted) reject(new FleetError('link_lost', `${this.host.name}: lost`));
    promise.catch(() => {});
    work.catch(() => {});
    try {
      return await Promise.race([work, promise]);
    } finally {
      this.#waiting.delete(reject);
      signal?.removeEventListener('abort', stop);
    }
  }
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
    await link.unlessLost(this.#transfer(link, stream), stream.signal);
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

  async #transfer(link: Link, stream: Parameters<Agents['send']>[1]): Promise<void> {
    const { name, from, size } = stream;
    await this.#arrive(link);
    if (!link.open) return never();
    const sink = await link.agent.receive(name, from, size).catch(overTheWire);
    try {
      await this.#pour(link, stream, sink);
      await sink.end();
    } catch (thrown) {
      const error = asFleetError(thrown);
      await sink.abort(error);
      return overTheWire(error);
    }
    await this.#clock.sleep(this.#random.between(0.2, 3));
    if (!link.open) return never();
  }

  /** Some or all of a file, chunk by chunk, as the trouble that is due has it. */
  async #pour(
    link: Link,
    { path, from, size, onProgress }: Parameters<Agents['send']>[1],
    sink: Sink,
  ): Promise<void> {
    const content = this.#files.get(path)!;
    const trouble = this.#trouble(link.host.name);
    const badAt = trouble === undefined ? size : from + this.#random.below(size - from + 1);
    const chunk = this.#random.pick([64, 512, 4096, 65_536]);
    for (let at = from; at < size; ) {
      const end = Math.min(size, at + chunk);
      const bytes = Buffer.from(content.subarray(at, end));
      if (at <= badAt && badAt < end && trouble === 'late') {
        this.#watcher.onFault('chunk damaged');
        bytes[badAt - at]! ^= 1;
      } else if (at <= badAt && badAt < end) {
        this.#watcher.onFault('transfer cut');
        this.cut(link.host.name);
      }
      await this.#clock.sleep(this.#random.between(0.1, 2));
      if (!link.open) {
        // The agent keeps what came, and knows of the loss as late as the controller does.
        await link.ended;
        throw new FleetError('link_lost', 'the connection was lost');
      }
      await sink.write(bytes);
      at = end;
      onProgress?.(at);
    }
  }
}

function overTheWire(thrown: unknown): never {
  throw fromBody(wire(asFleetError(thrown).toJSON()));
}

/** As it comes out at the other end. */
function wire<T>(message: T): T {
  return JSON.parse(JSON.stringify(message)) as T;
}
