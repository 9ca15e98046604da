import type { Agent } from '@fleet/agent/agent.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { SimulatedHost } from './host.ts';
import type { Life } from './life.ts';

/** One connection of one life of an agent with one life of a controller. */
export class Link {
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
