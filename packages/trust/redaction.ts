/**
 * Takes secrets out of what passes by, in whatever pieces it comes. Only what may be the beginning of a secret is held
 * back, so a line that is printed is seen at once, and no more is held than the longest form of a secret has.
 */
import { Automaton, type Needle } from './automaton.ts';
import { formsOf } from './secretForms.ts';

export interface Secret {
  name: string;
  value: string;
}

export interface RedactingStream {
  /** `take` is given what is free of secrets by now, in memory that is not its own. */
  push(chunk: Buffer): void;
  /** Nothing more comes: what was held back goes out. It can be used again after that. */
  end(): void;
}

export const labelOf = (name: string) => `[secret ${name}]`;

export class Redaction {
  readonly #plain: Automaton;
  readonly #wrapped: Automaton;
  /** Undefined where there are no secrets. */
  readonly #begins: Uint8Array | undefined;

  constructor(secrets: readonly Secret[]) {
    const plain: Needle[] = [];
    const wrapped: Needle[] = [];
    for (const { name, value } of secrets) {
      const forms = formsOf(value);
      const label = labelOf(name);
      for (const form of forms.plain) plain.push({ bytes: Buffer.from(form), label });
      for (const form of forms.wrapped) wrapped.push({ bytes: Buffer.from(form), label });
    }
    this.#plain = new Automaton(plain);
    this.#wrapped = new Automaton(wrapped);
    if (secrets.length > 0)
      this.#begins = Uint8Array.from({ length: 256 }, (_, byte) =>
        this.#plain.begins(byte) || this.#wrapped.begins(byte) ? 1 : 0,
      );
  }

  stream(take: (chunk: Buffer) => void): RedactingStream {
    if (this.#begins === undefined) return { push: take, end() {} };
    return new Passing(this.#plain, this.#wrapped, this.#begins, take);
  }

  text(text: string): string {
    if (this.#begins === undefined || text === '') return text;
    const pieces: Buffer[] = [];
    const passing = new Passing(this.#plain, this.#wrapped, this.#begins, (piece) => {
      pieces.push(Buffer.from(piece));
    });
    passing.push(Buffer.from(text));
    passing.end();
    return passing.found ? Buffer.concat(pieces).toString() : text;
  }
}

/** Bytes that belong to a secret, by their place in the whole stream. */
interface Span {
  from: number;
  to: number;
  label: string;
  /** The label went out already, and this is what is left of the span. */
  told: boolean;
}

const LF = 0x0a;
const CR = 0x0d;

class Passing implements RedactingStream {
  readonly #plain: Automaton;
  readonly #wrapped: Automaton;
  readonly #begins: Uint8Array;
  readonly #take: (chunk: Buffer) => void;
  /** Places of the last bytes that were no line breaks: `#seen` of them in all. */
  readonly #places: Float64Array;
  #seen = 0;
  #plainState = 0;
  #wrappedState = 0;
  /** Bytes before `#held`, all gone out or replaced. */
  #gone = 0;
  #held: Buffer = Buffer.alloc(0);
  #spans: Span[] = [];
  found = false;

  constructor(plain: Automaton, wrapped: Automaton, begins: Uint8Array, take: (chunk: Buffer) => void) {
    this.#plain = plain;
    this.#wrapped = wrapped;
    this.#begins = begins;
    this.#take = take;
    this.#places = new Float64Array(wrapped.longest + 1);
  }

  push(chunk: Buffer): void {
    const begin = this.#gone + this.#held.length;
    for (let index = 0; index < chunk.length; index++) {
      if (this.#plainState === 0 && this.#wrappedState === 0)
        while (index < chunk.length && this.#begins[chunk[index]!] === 0) index++;
      if (index < chunk.length) this.#look(chunk[index]!, begin + index);
    }
    const end = begin + chunk.length;
    const open = Math.min(end - this.#plain.depth(this.#plainState), this.#wrappedFrom(end));
    this.#release(open, chunk);
  }

  end(): void {
    this.#release(this.#gone + this.#held.length, Buffer.alloc(0));
    this.#plainState = 0;
    this.#wrappedState = 0;
  }

  #look(byte: number, place: number): void {
    this.#plainState = this.#plain.next(this.#plainState, byte);
    const needle = this.#plain.ending(this.#plainState);
    if (needle !== undefined) this.#mark(place + 1 - needle.bytes.length, place + 1, needle.label);
    if (byte === LF || byte === CR) return;
    this.#places[this.#seen++ % this.#places.length] = place;
    this.#wrappedState = this.#wrapped.next(this.#wrappedState, byte);
    const wrapped = this.#wrapped.ending(this.#wrappedState);
    if (wrapped !== undefined) this.#mark(this.#placeOf(wrapped.bytes.length), place + 1, wrapped.label);
  }

  /** Of the byte that so many bytes before the end, line breaks not counted, began with. */
  #placeOf(back: number): number {
    return this.#places[(this.#seen - back) % this.#places.length]!;
  }

  #wrappedFrom(end: number): number {
    const depth = this.#wrapped.depth(this.#wrappedState);
    return depth === 0 ? end : this.#placeOf(depth);
  }

  /** What overlaps is one. Spans come in the order of their ends. */
  #mark(from: number, to: number, label: string): void {
    this.found = true;
    let span: Span = { from, to, label, told: false };
    for (
      let last = this.#spans.at(-1);
      last !== undefined && last.to > span.from;
      last = this.#spans.at(-1)
    ) {
      const longer = last.to - last.from > span.to - span.from ? last : span;
      span = { from: Math.min(last.from, span.from), to, label: longer.label, told: last.told };
      this.#spans.pop();
    }
    this.#spans.push(span);
  }

  /** Lets go of everything before `limit`: no secret that is still to be found begins there. */
  #release(limit: number, chunk: Buffer): void {
    let from = this.#gone;
    for (let span = this.#spans[0]; span !== undefined && span.from < limit; span = this.#spans[0]) {
      this.#pass(from, span.from, chunk);
      if (!span.told) this.#take(Buffer.from(span.label));
      span.told = true;
      from = Math.min(span.to, limit);
      span.from = from;
      if (span.to > limit) break;
      this.#spans.shift();
    }
    this.#pass(from, limit, chunk);
    const held = Math.max(0, limit - this.#gone);
    this.#held =
      held < this.#held.length
        ? Buffer.concat([this.#held.subarray(held), chunk])
        : Buffer.from(chunk.subarray(held - this.#held.length));
    this.#gone = limit;
  }

  /** What is held comes before the chunk. */
  #pass(from: number, to: number, chunk: Buffer): void {
    const middle = this.#gone + this.#held.length;
    if (from < Math.min(to, middle))
      this.#take(this.#held.subarray(from - this.#gone, Math.min(to, middle) - this.#gone));
    if (Math.max(from, middle) < to) this.#take(chunk.subarray(Math.max(from, middle) - middle, to - middle));
  }
}
