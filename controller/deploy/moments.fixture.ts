/**
 * Moments: before and after each act of a controller on the world outside its memory. It can be interrupted at one of
 * them: by being asked to park, or as kill -9 does it, after which nothing of it goes on.
 */

export interface Interruption {
  /** The number of the moment, from 1. */
  at: number;
  how: 'park' | 'crash';
}
export const NEVER: Interruption = { at: 0, how: 'park' };

export class Moments {
  dead = false;
  #passed = 0;
  readonly #interruption: Interruption;
  readonly #parking: AbortController;
  readonly #died = Promise.withResolvers<void>();

  constructor(interruption: Interruption, parking: AbortController) {
    this.#interruption = interruption;
    this.#parking = parking;
  }

  /** The same object; each call of one of these asynchronous methods is an act. */
  watch<T extends object>(target: T, acts: ReadonlyArray<keyof T & string>): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
        if (!acts.some((act) => act === name)) return call;
        return (...args: unknown[]) => this.#pass(async () => call(...args));
      },
    });
  }

  async unlessDead(work: () => Promise<unknown>): Promise<void> {
    await Promise.race([work(), this.#died.promise]);
  }

  async #pass(act: () => Promise<unknown>): Promise<unknown> {
    await this.#moment();
    try {
      return await act();
    } finally {
      await this.#moment();
    }
  }

  async #moment(): Promise<void> {
    if (!this.dead && ++this.#passed === this.#interruption.at) this.#interrupt();
    // What is dead waits for ever, and goes when nobody holds it any more.
    if (this.dead) await new Promise(() => {});
  }

  #interrupt(): void {
    if (this.#interruption.how === 'park') {
      this.#parking.abort();
    } else {
      this.dead = true;
      this.#died.resolve();
    }
  }
}
