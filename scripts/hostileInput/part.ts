/** What one part of a run has seen: how its tries ended, how often, and what did not hold. */
const MOST_FAULTS = 50;

export class Part {
  readonly name: string;
  readonly faults: string[] = [];
  readonly notes: string[] = [];
  readonly #ends = new Map<string, number>();
  readonly #began = performance.now();
  readonly #until: number;

  constructor(name: string, minutes = Number.POSITIVE_INFINITY) {
    this.name = name;
    this.#until = this.#began + minutes * 60_000;
  }

  /** Its time is over. */
  late(): boolean {
    return performance.now() > this.#until;
  }

  count(end: string, times = 1): void {
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + times);
  }

  /** Something that should not be. The first are kept. */
  fault(what: string): void {
    if (this.faults.length < MOST_FAULTS) this.faults.push(what.slice(0, 1000));
    this.count('FAULT');
  }

  note(text: string): void {
    this.notes.push(text);
  }

  get tries(): number {
    return [...this.#ends].reduce((sum, [end, times]) => (end === 'FAULT' ? sum : sum + times), 0);
  }

  report(): string[] {
    const ends = [...this.#ends].sort(([, one], [, other]) => other - one);
    const seconds = (performance.now() - this.#began) / 1000;
    return [
      `${this.name}: ${this.tries} in ${seconds.toFixed(0)} s, ${this.faults.length} faults`,
      ...ends.map(([end, times]) => `  ${String(times).padStart(8)}  ${end}`),
      ...this.notes.map((note) => `  ${note}`),
      ...this.faults.map((fault) => `  FAULT ${JSON.stringify(fault)}`),
    ];
  }
}
