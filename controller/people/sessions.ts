/** What stays open after its request: ended soon after the token that opened it is revoked or has expired. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { People } from './people.ts';

/** Milliseconds between two looks: well below the 5 s that are promised. */
export const SWEEP_MS = 2000;
/** Streams that one token may have open. */
const MOST = 64;

interface Session {
  token: string;
  end(): void;
}

export class Sessions {
  readonly #people: People;
  readonly #open = new Set<Session>();
  constructor(people: People) {
    this.#people = people;
  }

  /** Until the returned function is called. Throws `too_many`. */
  open(token: string, end: () => void): () => void {
    const held = [...this.#open].filter((session) => session.token === token).length;
    if (held >= MOST)
      throw new FleetError('too_many', `this token has ${held} event streams open`, {
        next: 'close some of them, or follow one topic each: /api/events?topic=deployment/42',
      });
    const session = { token, end };
    this.#open.add(session);
    return () => this.#open.delete(session);
  }

  /** Ends what belongs to tokens that are no longer good. */
  async sweep(): Promise<void> {
    for (const token of new Set([...this.#open].map((session) => session.token))) {
      if (await this.#people.isStillGood(token)) continue;
      for (const session of this.#open) if (session.token === token) session.end();
    }
  }
}
