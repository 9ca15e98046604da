/** The end of what a program printed. Whatever it prints, no more than about twice `limit` bytes are held. */
export interface Output {
  /** Starts at the beginning of a line where lines are not longer than half the tail. Invalid UTF-8 is replaced. */
  text: string;
  /** Bytes before `text` that are not in it. */
  dropped: number;
}

export class OutputTail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held > 2 * this.#limit) this.#shorten();
  }

  read(): Output {
    this.#shorten();
    const kept = Buffer.concat(this.#chunks);
    const from = this.#dropped === 0 ? 0 : beginning(kept);
    return { text: kept.toString('utf8', from), dropped: this.#dropped + from };
  }

  #shorten(): void {
    const all = Buffer.concat(this.#chunks);
    const excess = Math.max(0, all.length - this.#limit);
    // A copy, not a view: a view would keep the whole of what it looks into.
    this.#chunks = [Buffer.from(all.subarray(excess))];
    this.#held = all.length - excess;
    this.#dropped += excess;
  }
}

/** Where a piece cut out of the middle can begin: after the first line's end, or else at the first whole character. */
function beginning(piece: Buffer): number {
  const newline = piece.indexOf(0x0a);
  if (newline !== -1 && newline < piece.length / 2) return newline + 1;
  const character = piece.subarray(0, 4).findIndex((byte) => (byte & 0xc0) !== 0x80);
  return Math.max(0, character);
}
