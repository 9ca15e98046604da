/** Time, handed in, so that a simulation can bend it. */
import { setTimeout as pause } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Rejects with the signal's reason when it fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Some 24 days. A timer that is asked for more fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await pause(Math.min(ms, LONGEST_MS), undefined, { signal });
    } catch {
      signal?.throwIfAborted();
    }
  },
};

/** Looks every `everyMs` until `look` gives something or the time is up; then undefined. */
export async function until<T>(
  clock: Clock,
  { withinMs, everyMs, signal }: { withinMs: number; everyMs: number; signal: AbortSignal },
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const end = clock.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    const left = end - clock.now();
    if (left <= 0) return undefined;
    await clock.sleep(Math.min(everyMs, left), signal);
  }
}

/** The signal that `work` is given fires when the time is up, or when `signal` does. */
export async function within<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const ended = new AbortController();
  clock.sleep(ms, ended.signal).then(
    () => over.abort(),
    () => {},
  );
  try {
    return await work(AbortSignal.any([signal, over.signal]));
  } finally {
    ended.abort();
  }
}
