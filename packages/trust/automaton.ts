/** Many needles looked for at once, a byte at a time: what has been seen is never looked at again (Aho and Corasick, 1975). */

const ROOT = 0;
const NONE = -1;

export interface Needle {
  bytes: Buffer;
  /** What stands in its place. */
  label: string;
}

/** A state is a number; 0 is where nothing of any needle has been seen. */
export class Automaton {
  readonly #firstChild: number[] = [NONE];
  readonly #sibling: number[] = [NONE];
  readonly #byte: number[] = [0];
  readonly #fallback: number[] = [ROOT];
  readonly #depth: number[] = [0];
  readonly #ending: Array<Needle | undefined> = [undefined];
  /** From the root, by byte. */
  readonly #begin = new Int32Array(256);
  /** Of the longest needle, in bytes. */
  readonly longest: number;

  constructor(needles: readonly Needle[]) {
    this.longest = needles.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
    for (const needle of needles) this.#add(needle);
    this.#link();
  }

  begins(byte: number): boolean {
    return this.#begin[byte] !== ROOT;
  }

  next(state: number, byte: number): number {
    for (let from = state; from !== ROOT; from = this.#fallback[from]!) {
      const child = this.#childOf(from, byte);
      if (child !== NONE) return child;
    }
    return this.#begin[byte]!;
  }

  /** How many of the bytes seen last may be the beginning of a needle. */
  depth(state: number): number {
    return this.#depth[state]!;
  }

  /** The longest needle that ends here. */
  ending(state: number): Needle | undefined {
    return this.#ending[state];
  }

  #childOf(state: number, byte: number): number {
    let child = this.#firstChild[state]!;
    while (child !== NONE && this.#byte[child] !== byte) child = this.#sibling[child]!;
    return child;
  }

  #add(needle: Needle): void {
    let state = ROOT;
    for (const byte of needle.bytes) {
      const child = this.#childOf(state, byte);
      state = child === NONE ? this.#grow(state, byte) : child;
    }
    this.#ending[state] ??= needle;
  }

  #grow(parent: number, byte: number): number {
    const state = this.#byte.push(byte) - 1;
    this.#sibling.push(this.#firstChild[parent]!);
    this.#firstChild[parent] = state;
    this.#firstChild.push(NONE);
    this.#fallback.push(ROOT);
    this.#depth.push(this.#depth[parent]! + 1);
    this.#ending.push(undefined);
    if (parent === ROOT) this.#begin[byte] = state;
    return state;
  }

  /** Shorter ones first: a fallback is always shorter than what falls back to it. */
  #link(): void {
    const queue = this.#childrenOf(ROOT);
    for (const state of queue)
      for (const child of this.#childrenOf(state)) {
        const fallback = this.next(this.#fallback[state]!, this.#byte[child]!);
        this.#fallback[child] = fallback;
        this.#ending[child] ??= this.#ending[fallback];
        queue.push(child);
      }
  }

  #childrenOf(state: number): number[] {
    const children: number[] = [];
    for (let child = this.#firstChild[state]!; child !== NONE; child = this.#sibling[child]!)
      children.push(child);
    return children;
  }
}
