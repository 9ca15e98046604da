/** The end of what a program printed. Whatever it prints, no more than twice `limit` bytes are held. */
export interface Output {
  /** Starts at the beginning of a line where lines are not longer than half the tail. Invalid UTF-8 is replaced. */
  text: string;
  /** Bytes before `text` that are not in it. */
  dropped: number;
}

export class OutputTail {
  readonly #limit: number;
  readonly #buffer: Buffer;
  #held = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
    // Twice the tail, so that what is held moves to the front only once in a tail's length of output.
    this.#buffer = Buffer.allocUnsafe(2 * limit);
  }

  /** Takes a copy: the chunk's memory may be used again. */
  push(chunk: Buffer): void {
    if (chunk.length > this.#limit) this.#forget(this.#held);
    else if (this.#held + chunk.length > this.#buffer.length)
      this.#forget(this.#held + chunk.length - this.#limit);
    const skipped = Math.max(0, chunk.length - this.#limit);
    this.#dropped += skipped;
    this.#held += chunk.copy(this.#buffer, this.#held, skipped);
  }

  read(): Output {
    const excess = Math.max(0, this.#held - this.#limit);
    const kept = this.#buffer.subarray(excess, this.#held);
    const dropped = this.#dropped + excess;
    const from = dropped === 0 ? 0 : beginning(kept);
    return { text: kept.toString('utf8', from), dropped: dropped + from };
  }

  #forget(bytes: number): void {
    this.#buffer.copyWithin(0, bytes, this.#held);
    this.#held -= bytes;
    this.#dropped += bytes;
  }
}

/** Where a piece cut out of the middle can begin: after the first line's end, or else at the first whole character. */
function beginning(piece: Buffer): number {
  const newline = piece.indexOf(0x0a);
  if (newline !== -1 && newline < piece.length / 2) return newline + 1;
  const character = piece.subarray(0, 4).findIndex((byte) => (byte & 0xc0) !== 0x80);
  return Math.max(0, character);
}
