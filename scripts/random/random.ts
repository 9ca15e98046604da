/** Chance from a seed: the same seed gives the same choices. */
export class Random {
  #state: number;
  readonly #skipped: number;

  /** `skipped`: numbers that are left out at the beginning, where neighbouring seeds must not begin alike. */
  constructor(seed: number, skipped = 0) {
    this.#state = seed >>> 0;
    this.#skipped = skipped;
    for (let left = skipped; left > 0; left--) this.next();
  }

  /** From 0 to below 1: mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Each name as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const names = Object.keys(weights) as K[];
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0);
    for (const name of names) {
      left -= weights[name];
      if (left < 0) return name;
    }
    return names.at(-1)!;
  }

  /** Choices of its own, so that one who makes more of them does not change those of another. */
  fork(): Random {
    return new Random(this.below(2 ** 32), this.#skipped);
  }
}
