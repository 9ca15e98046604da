/** The secrets that a process has been given, and the one place that takes them out of everything that leaves it. */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { type RedactingStream, Redaction } from './redaction.ts';
import { SHORTEST_SECRET } from './secretForms.ts';

/** Values that are remembered. Those that were given longest ago go first. */
const MOST = 512;
/** What a program decides by, and a strict form allows: never text that somebody else wrote. */
const NAMES = new Set([
  ...['type', 'code', 'state', 'outcome', 'kind', 'host', 'hosts', 'service', 'environment', 'version'],
  ...['current', 'running', 'identity', 'digest', 'before', 'topic', 'at', 'take', 'exit', 'cursor'],
]);

/** Throws `secret_refused` for a value that could not be taken out of what is shown. `whose`: for people. */
export function checkSecret(value: string, whose: string): void {
  if (value.length >= SHORTEST_SECRET) return;
  throw new FleetError(
    'secret_refused',
    `${whose} has ${value.length} characters: so short a secret could not be kept out of what is shown`,
    { next: `give it at least ${SHORTEST_SECRET} characters` },
  );
}

export class KnownSecrets {
  /** Names by value. */
  readonly #names = new Map<string, string>();
  #redaction: Redaction | undefined;

  /** From now on the value is shown by this name only. One that is too short is passed over. */
  learn(name: string, value: string): void {
    if (value.length < SHORTEST_SECRET) return;
    const known = this.#names.get(value);
    this.#names.delete(value);
    this.#names.set(value, known ?? name);
    if (known !== undefined) return;
    this.#redaction = undefined;
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= MOST) break;
      this.#names.delete(oldest);
    }
  }

  text(text: string): string {
    return this.#current().text(text);
  }

  stream(take: (chunk: Buffer) => void): RedactingStream {
    return this.#current().stream(take);
  }

  /** Every text in something that is JSON, its names apart. The thing itself where no secret is known. */
  all<T>(thing: T): T {
    return this.#names.size === 0 ? thing : (this.#clean(thing) as T);
  }

  /** Anything thrown, as it may be told. */
  error(thrown: unknown): FleetError {
    const error = asFleetError(thrown);
    if (this.#names.size === 0) return error;
    return new FleetError(error.code, this.text(error.message), {
      next: error.next === undefined ? undefined : this.text(error.next),
      data: this.all(error.data),
      cause: error.cause === undefined ? undefined : this.#causeOf(error.cause),
    });
  }

  /** Does something, with what it throws as it may be told. */
  async guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (thrown) {
      throw this.error(thrown);
    }
  }

  /** Before what takes whole lines, such as a logger's destination. */
  lines(destination: { write(line: string): unknown }): { write(line: string): void } {
    return { write: (line) => void destination.write(this.text(line)) };
  }

  /** For those who look where a fault comes from: an error again, with its stack. */
  #causeOf(cause: unknown): unknown {
    if (!(cause instanceof Error)) return this.all(cause);
    const told = new Error(this.text(cause.message));
    if (cause.stack !== undefined) told.stack = this.text(cause.stack);
    return told;
  }

  #clean(thing: unknown): unknown {
    if (typeof thing === 'string') return this.text(thing);
    if (Array.isArray(thing)) return thing.map((each) => this.#clean(each));
    if (typeof thing !== 'object' || thing === null || Object.getPrototypeOf(thing) !== Object.prototype)
      return thing;
    return Object.fromEntries(
      Object.entries(thing).map(([key, value]) => [
        key,
        NAMES.has(key) && isName(value) ? value : this.#clean(value),
      ]),
    );
  }

  #current(): Redaction {
    this.#redaction ??= new Redaction([...this.#names].map(([value, name]) => ({ name, value })));
    return this.#redaction;
  }
}

/** A text, or several: what is deeper is looked at. */
function isName(value: unknown): boolean {
  return Array.isArray(value) ? value.every((each) => typeof each === 'string') : typeof value === 'string';
}
