import { setImmediate } from 'node:timers/promises';

/** Milliseconds that the event loop is held at a time. */
const HOLD = 10;

/** Runs a long piece of synchronous work that yields often, and lets others have the event loop in between. */
export async function pace<T>(work: Generator<void, T>): Promise<T> {
  for (let since = performance.now(); ; ) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() - since < HOLD) continue;
    await setImmediate();
    since = performance.now();
  }
}

/** Runs it at once: for a thread that has nothing else to do. */
export function rush<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
