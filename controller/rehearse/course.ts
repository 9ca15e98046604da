/** The course of a rehearsal: each phase told, timed and kept; after one that fails, only what gives everything back. */
import type { RehearsalPhase } from '@fleet/protocol/api/rehearsals.ts';
import { asFleetError, type FleetError } from '@fleet/protocol/errors.ts';

export interface Told {
  began(name: string): void;
  ended(phase: RehearsalPhase, error: FleetError | undefined): void;
}

export class Course {
  readonly phases: RehearsalPhase[] = [];
  readonly #told: Told;
  /** The first failure: what comes after it may follow from it. */
  failure: FleetError | undefined;
  constructor(told: Told) {
    this.#told = told;
  }

  /** Passed over after a failure. What it gives is undefined then, and where it fails. */
  async phase<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.failure === undefined) return this.always(name, work);
    this.phases.push({ name, outcome: 'skipped', ms: 0, message: null });
    return undefined;
  }

  /** Also after a failure. */
  async always<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    const since = performance.now();
    this.#told.began(name);
    const end = (error?: FleetError) => {
      const message = error === undefined ? null : error.message.replace(/\s*\n\s*/g, ' ').slice(0, 4000);
      const outcome = error === undefined ? ('ok' as const) : ('failed' as const);
      const phase = { name, outcome, ms: Math.round(performance.now() - since), message };
      this.phases.push(phase);
      this.#told.ended(phase, error);
    };
    try {
      const result = await work();
      end();
      return result;
    } catch (thrown) {
      const error = asFleetError(thrown);
      this.failure ??= error;
      end(error);
      return undefined;
    }
  }
}
