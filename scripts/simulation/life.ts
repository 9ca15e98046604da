/**
 * One life of a program, from its start to its end. It ends at any of its acts, before or after it, as kill -9 ends it: what
 * it waits for never comes, and nothing that it still wanted to do is done.
 */
export class Life {
  over = false;
  readonly ended: Promise<void>;
  readonly #end = Promise.withResolvers<void>();
  #left = Number.POSITIVE_INFINITY;
  #onDeath: () => void = () => {};

  constructor() {
    this.ended = this.#end.promise;
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.#left = Number.POSITIVE_INFINITY;
    this.#end.resolve();
  }

  /** `die`, which must end this life, is called at the n-th moment from now: one is before each act, one after it. */
  endAt(moments: number, die: () => void): void {
    this.#left = moments;
    this.#onDeath = die;
  }

  async act<T>(work: () => T | Promise<T>): Promise<T> {
    this.#moment();
    if (this.over) return never();
    try {
      return await work();
    } finally {
      this.#moment();
      if (this.over) await never();
    }
  }

  /** The same object; each call of a method that gives a promise is an act. */
  watch<T extends object>(target: T, isAct: (name: string) => boolean = () => true): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
        if (typeof name !== 'string' || !isAct(name)) return call;
        return (...args: unknown[]) => this.act(() => call(...args));
      },
    });
  }

  #moment(): void {
    if (--this.#left > 0 || this.over) return;
    this.#left = Number.POSITIVE_INFINITY;
    this.#onDeath();
  }
}

/** What is dead waits for ever, and goes when nobody holds it any more. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}
