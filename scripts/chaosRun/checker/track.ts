/** What something was, over time: changes with their moments, asked for later. */
export interface Span<T> {
  from: number;
  /** Infinity for the last one. */
  to: number;
  value: T;
}

export class Track<T> {
  /** Without gaps, from the first change on; neighbours differ. */
  readonly spans: Array<Span<T>> = [];

  /** `changes` come by time; before the first one nothing is known. */
  constructor(changes: Iterable<{ at: number; value: T }>, same: (a: T, b: T) => boolean = Object.is) {
    for (const { at, value } of changes) {
      const last = this.spans.at(-1);
      if (last && same(last.value, value)) continue;
      if (last) last.to = at;
      this.spans.push({ from: at, to: Number.POSITIVE_INFINITY, value });
    }
  }

  at(moment: number): T | undefined {
    return this.during(moment, moment).at(-1);
  }

  /** All that it was at some moment between, both ends included. */
  during(from: number, to: number): T[] {
    const values: T[] = [];
    for (let index = this.#first(from); index < this.spans.length; index++) {
      const span = this.spans[index]!;
      if (span.from > to) break;
      values.push(span.value);
    }
    return values;
  }

  /** The first span that ends behind a moment. */
  #first(moment: number): number {
    let low = 0;
    for (let high = this.spans.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.spans[middle]!.to <= moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
