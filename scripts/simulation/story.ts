/** What happened, a line an event. The same seed tells the same story. */
import { createHash } from 'node:crypto';
import type { SimulatedClock } from './clock.ts';

const KEPT = 60;
/**
 * Names that the product draws by chance or from the time of day: temporary files, trees on their way, digests of command ids, a
 * fleet's own id, and the moment of a deployment's start in the ids of its commands.
 */
const BY_CHANCE =
  /(\.json\.|\.fleet-|\.current-|staging\/|:\d+\.(?=\w{8}:))(?:[\w-]{12}|\w{8}(?=:))|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

export interface Violation {
  invariant: string;
  message: string;
}

export class Story {
  /** The first thing that must never happen, and did. */
  violation: Violation | undefined;
  /** How often each kind of fault took effect. */
  readonly faults = new Map<string, number>();
  readonly #last: string[] = [];
  readonly #hash = createHash('sha256');
  readonly #clock: SimulatedClock;
  readonly #onLine: (line: string) => void;

  constructor(clock: SimulatedClock, onLine: (line: string) => void = () => {}) {
    this.#clock = clock;
    this.#onLine = onLine;
  }

  tell(what: string): void {
    const line = `${(this.#clock.now() / 1000).toFixed(3).padStart(10)}  ${what.replace(BY_CHANCE, '$1*')}`;
    this.#hash.update(line).update('\n');
    this.#last.push(line);
    if (this.#last.length > KEPT) this.#last.shift();
    this.#onLine(line);
  }

  fault(kind: string, where = ''): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.tell(`fault: ${kind}${where === '' ? '' : ` (${where})`}`);
  }

  violated(invariant: string, what: string): void {
    this.tell(`VIOLATED ${invariant}: ${what}`);
    this.violation ??= { invariant, message: what };
  }

  last(lines: number): string[] {
    return this.#last.slice(-lines);
  }

  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
