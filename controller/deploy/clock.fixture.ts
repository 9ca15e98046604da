/** Time that passes as soon as everybody waits for it: an hour of watching takes no time, in the order of the real one. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from './clock.ts';

interface Sleeper {
  at: number;
  wake(): void;
}

export class VirtualClock implements Clock {
  #now = 0;
  readonly #sleepers = new Set<Sleeper>();
  #passing = false;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { at: this.#now + ms, wake: resolve };
    this.#sleepers.add(sleeper);
    const wakeEarly = () => {
      this.#sleepers.delete(sleeper);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', wakeEarly, { once: true });
    if (!this.#passing) void this.#pass();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', wakeEarly);
    }
  }

  async #pass(): Promise<void> {
    this.#passing = true;
    while (this.#sleepers.size > 0) {
      // Whoever still has something to do does it before time goes on.
      for (let turns = 0; turns < 3; turns++) await turn();
      const next = [...this.#sleepers].sort((one, other) => one.at - other.at)[0];
      if (next === undefined) break;
      this.#sleepers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    this.#passing = false;
  }
}
