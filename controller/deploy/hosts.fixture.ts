/**
 * Hosts with agents that are all in memory and keep the promises of real ones: a command is carried out once and a repeated
 * id gets the recorded outcome, also when the link broke before the answer. A test tells them what goes wrong.
 */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { streamName } from '@fleet/protocol/messages/release.ts';
import type { ToldPolicy } from '@fleet/protocol/policy.ts';
import type { Clock } from './clock.ts';
import type { Agents } from './context.ts';

type Method = keyof AgentMethods;
type Body<M extends Method = Method> = Request<AgentMethods, M>;
type Answer<M extends Method = Method> = Reply<AgentMethods, M>;

export interface FakeHost {
  name: string;
  connected: boolean;
  /** Versions on its disk, with their identity. */
  staged: Map<string, string>;
  current: string | null;
  running: string | null;
  /** What runs has passed its smoke checks since it was started, and no look since then said otherwise. */
  proven: boolean;
  /** Hooks that may not run twice and were cut off in the middle, by the id of their command. */
  interrupted: Map<string, { hook: string; version: string; run: number }>;
  /** Outcomes of commands by id. */
  journal: Map<string, () => Answer>;
  epoch: number;
  received: Map<string, number>;
  /** What the last removal of old releases had to leave, however old. */
  kept: string[];
  policy?: ToldPolicy;
}

/** Something that goes wrong on a host when it is asked something. */
interface Trouble {
  host: string;
  method: Method | 'send';
  /** Only for this version. */
  version?: string | undefined;
  /** How often; for ever if it is left out. */
  times?: number;
  what:
    | { kind: 'refuses'; error: FleetError }
    | { kind: 'slow'; ms: number }
    | { kind: 'held'; until: Promise<unknown> }
    /** The link breaks before or after the work, and is back after this time; without one it stays away. */
    /** Its agent dies in the middle of a hook that may not run twice, and is back after a second. */
    | { kind: 'dies'; during: string }
    | { kind: 'cut'; when: 'before' | 'after'; workMs?: number; backAfterMs?: number | undefined };
}

export class FakeAgents implements Agents {
  readonly hosts = new Map<string, FakeHost>();
  #troubles: Trouble[] = [];
  readonly #sick = new Set<string>();
  readonly #waiting = new Set<{ host: string; resolve(): void }>();
  readonly #clock: Clock;
  readonly #act: (text: string) => void;

  constructor(names: string[], clock: Clock, act: (text: string) => void) {
    this.#clock = clock;
    this.#act = act;
    for (const name of names) {
      this.hosts.set(name, {
        name,
        connected: true,
        staged: new Map(),
        current: null,
        running: null,
        proven: true,
        interrupted: new Map(),
        journal: new Map(),
        epoch: 0,
        received: new Map(),
        kept: [],
      });
    }
  }

  of(name: string): FakeHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`there is no fake host ${name}`);
    return host;
  }

  // What a test says.

  /** Smoke checks of a version do not pass here; `onceOnly`: only those of settling. */
  sicken(host: string, version: string, how: 'smoke' | 'settle' = 'smoke'): void {
    this.#sick.add(`${how} ${host} ${version}`);
  }
  heal(host: string, version: string): void {
    for (const how of ['smoke', 'settle']) this.#sick.delete(`${how} ${host} ${version}`);
  }
  trouble(host: string, method: Trouble['method'], what: Trouble['what'], more: Partial<Trouble> = {}): void {
    this.#troubles.push({ host, method, what, ...more });
  }
  /** No trouble here any more. */
  calm(name: string): void {
    this.#troubles = this.#troubles.filter(({ host }) => host !== name);
  }
  disconnect(name: string, backAfterMs?: number): void {
    this.of(name).connected = false;
    if (backAfterMs !== undefined) void this.#clock.sleep(backAfterMs).then(() => this.connect(name));
  }
  connect(name: string): void {
    this.of(name).connected = true;
    for (const waiter of this.#waiting) if (waiter.host === name) waiter.resolve();
  }

  // What the controller asks.

  isConnected(host: string): boolean {
    return this.hosts.get(host)?.connected ?? false;
  }

  policyOf(host: string): ToldPolicy | undefined {
    return this.hosts.get(host)?.policy;
  }

  async whenConnected(host: string, signal: AbortSignal): Promise<void> {
    if (this.of(host).connected) return;
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
    body: Body<M>,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<Answer<M>> {
    const version = 'version' in body ? body.version : undefined;
    return unless(signal, () =>
      this.#troubled(name, { method, version, timeoutMs }, (host, during) =>
        this.#once(host, method, body, during),
      ),
    );
  }

  async send(name: string, stream: Parameters<Agents['send']>[1]): Promise<void> {
    const { size, from, signal, onProgress } = stream;
    await unless(signal, () =>
      this.#troubled(name, { method: 'send', version: undefined, timeoutMs: 60_000 }, async (host) => {
        onProgress?.(from);
        host.received.set(stream.name, size);
        onProgress?.(size);
      }),
    );
  }

  async #troubled<T>(
    name: string,
    asked: { method: Trouble['method']; version: string | undefined; timeoutMs: number },
    work: (host: FakeHost, during?: string) => Promise<T>,
  ): Promise<T> {
    const host = this.of(name);
    if (!host.connected) throw new FleetError('unreachable', `${name} is not connected`);
    const lost = () => new FleetError('link_lost', `the connection to ${name} was lost`);
    const trouble = this.#take(name, asked.method, asked.version);
    if (trouble?.kind === 'refuses') throw trouble.error;
    if (trouble?.kind === 'held') await trouble.until;
    if (trouble?.kind === 'slow') {
      await this.#clock.sleep(Math.min(trouble.ms, asked.timeoutMs));
      if (trouble.ms > asked.timeoutMs) throw new FleetError('timeout', `${name} did not answer`);
    }
    if (trouble?.kind === 'dies') return work(host, trouble.during);
    if (trouble?.kind !== 'cut') return work(host);
    await this.#clock.sleep(trouble.workMs ?? 0);
    if (trouble.when === 'after') await work(host).catch(() => {});
    this.disconnect(name, trouble.backAfterMs);
    throw lost();
  }

  #take(host: string, method: Trouble['method'], version: string | undefined): Trouble['what'] | undefined {
    const found = this.#troubles.find(
      (each) =>
        each.host === host &&
        each.method === method &&
        (each.version === undefined || each.version === version),
    );
    if (found?.times !== undefined && --found.times === 0)
      this.#troubles.splice(this.#troubles.indexOf(found), 1);
    return found?.what;
  }

  /** The same command id is carried out once, and always gets the same answer. */
  async #once<M extends Method>(
    host: FakeHost,
    method: M,
    body: Body<M>,
    during?: string,
  ): Promise<Answer<M>> {
    const command: Command | undefined = 'command' in body ? body.command : undefined;
    if (command === undefined) return this.#does[method](host, body);
    if (command.epoch < host.epoch) throw new FleetError('stale_epoch', `epoch ${command.epoch} is over`);
    host.epoch = command.epoch;
    const recorded = host.journal.get(command.id);
    // Recorded by this very method: a command id is used by one.
    if (recorded !== undefined) return recorded() as Answer<M>;
    this.#interrupted(host, command, 'version' in body ? body.version : '', during);
    try {
      const answer = this.#does[method](host, body);
      host.journal.set(command.id, () => answer);
      return answer;
    } catch (error) {
      host.journal.set(command.id, () => {
        throw asFleetError(error);
      });
      throw error;
    }
  }

  /** Throws where a hook waits for a decision, and where the agent dies in this one. */
  #interrupted(host: FakeHost, { id, decisions = [] }: Command, version: string, during?: string): void {
    const open = host.interrupted.get(id);
    if (open !== undefined) {
      const { hook, run } = open;
      const decision = decisions.find((each) => each.part === hook && each.run === run);
      if (decision === undefined)
        throw new FleetError('hook_interrupted', `${hook} of ${open.version} was interrupted`, {
          data: { ...open },
        });
      this.#act(`${host.name} ${decision.take === 'done' ? 'skips' : 'repeats'} ${hook}`);
    }
    if (during === undefined) return;
    host.interrupted.set(id, { hook: during, version, run: (open?.run ?? 0) + 1 });
    this.#act(`${host.name} dies during ${during}`);
    if (host.current === version) {
      host.running = during === 'after_start' ? version : null;
      host.proven = false;
    }
    this.disconnect(host.name, 1000);
    throw new FleetError('link_lost', `the connection to ${host.name} was lost`);
  }

  readonly #does: { [M in Method]: (host: FakeHost, body: Body<M>) => Answer<M> } = {
    'release.offer': (host, { version }) =>
      host.staged.has(version) ? { state: 'present' } : { state: 'wanted', manifestFrom: 0, artifactFrom: 0 },

    'release.commit': (host, { service, version, identity }) => {
      for (const part of ['manifest', 'artifact'] as const) {
        if (!host.received.delete(streamName(service, version, part)))
          throw new FleetError('transfer_failed', `the ${part} of ${version} did not arrive`);
      }
      host.staged.set(version, identity);
      this.#act(`${host.name} stage ${version}`);
      return { files: 1, bytes: 10 };
    },

    'release.activate': (host, { version, identity }) => {
      if (host.staged.get(version) !== identity)
        throw new FleetError('no_release', `${version} is not on ${host.name}`);
      const from = host.current;
      this.#act(`${host.name} activate ${version}`);
      host.current = version;
      host.proven = false;
      return { from, changed: from !== version, switchMs: 1 };
    },

    'release.prune': (host, { protect }) => {
      host.kept = protect;
      const removed = [...host.staged.keys()].filter((version) => !protect.includes(version)).slice(0, -2);
      for (const version of removed) host.staged.delete(version);
      return { removed };
    },

    'step.restart': (host, { version }) => {
      if (host.current !== version) throw new FleetError('start_failed', `${version} is not current`);
      this.#act(`${host.name} restart ${version}`);
      host.running = version;
      host.proven = false;
      const output = { text: `started ${version}\n`, dropped: 0 };
      return { changed: true, output, stopMs: 1, startMs: 2 };
    },

    'step.stop': (host) => {
      host.running = null;
      return { changed: true };
    },

    'step.once': (host, { name, version }) => {
      this.#act(`${host.name} once ${name} ${version}`);
      return { output: { text: `${name} done\n`, dropped: 0 }, ms: 5 };
    },

    'step.report': (host) => ({
      current: host.current,
      running: host.running,
      identity: host.current === null ? null : (host.staged.get(host.current) ?? null),
      state: host.running === null ? 'stopped' : 'running',
      releases: [...host.staged.keys()],
    }),

    'check.smoke': (host, { version, onceOnly, skip }) => {
      const sick =
        this.#sick.has(`smoke ${host.name} ${version}`) ||
        (onceOnly && this.#sick.has(`settle ${host.name} ${version}`));
      const passed = skip.includes('answers') || (host.running === version && !sick);
      if (!onceOnly) this.#act(`${host.name} smoke ${version} ${passed ? 'passes' : 'fails'}`);
      host.proven = passed;
      return { results: [{ name: 'answers', passed, tries: 1, ms: 3, detail: passed ? '200' : '500' }] };
    },

    'trust.update': (_host, { trust }) => ({ serial: trust.statement.serial }),

    'host.time': () => ({ at: Date.now() }),

    'host.examine': () => ({
      facts: {
        ...{ agent: '0.1.0', node: '24.0.0', protocol: { min: 1, max: 1 }, platform: 'linux-x64' },
        ...{ kernel: '6.1.0', distribution: 'Debian', libc: 'glibc 2.36', packages: null },
      },
      findings: [],
    }),

    'log.read': (host) => ({ text: `log of ${host.name}\n`, cursor: '0' }),
  };
}

/** As a session does it: who asks stops waiting when the signal fires, while the host goes on with what it was told. */
async function unless<T>(signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const answer = ask();
  if (signal === undefined) return answer;
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([answer, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
    answer.catch(() => {});
  }
}
