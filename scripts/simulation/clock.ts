/** Time that passes when nobody has anything left to do now: hours of waiting take no time, in the order of the real one. */
import { setImmediate as turn } from 'node:timers/promises';

interface Alarm {
  at: number;
  /** Those of the same moment ring in the order in which they were set. */
  order: number;
  ring: (() => void) | undefined;
}

export class SimulatedClock {
  #now = 0;
  #set = 0;
  readonly #alarms: Alarm[] = [];

  now(): number {
    return this.#now;
  }

  /** Returns what takes the alarm back. */
  after(ms: number, ring: () => void): () => void {
    const alarm: Alarm = { at: this.#now + Math.max(0, ms), order: this.#set++, ring };
    this.#push(alarm);
    return () => {
      alarm.ring = undefined;
    };
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const takeBack = this.after(ms, resolve);
    if (signal === undefined) return promise;
    const wake = () => {
      takeBack();
      reject(signal.reason);
    };
    signal.addEventListener('abort', wake, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** Lets time pass until `work` has ended. Rejects where nothing is left that time could bring. */
  async passUntil<T>(work: Promise<T>): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
    };
    work.then(end, end);
    for (;;) {
      // Everything that can be done without time passing is done by then: nothing here waits for a real disk or socket.
      await turn();
      if (over) return work;
      const alarm = this.#pop();
      if (alarm === undefined) throw new Error('everybody waits, and nobody for a time');
      if (alarm.ring === undefined) continue;
      this.#now = Math.max(this.#now, alarm.at);
      alarm.ring();
    }
  }

  #push(alarm: Alarm): void {
    const heap = this.#alarms;
    let at = heap.push(alarm) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!sooner(alarm, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = alarm;
  }

  #pop(): Alarm | undefined {
    const heap = this.#alarms;
    // What was taken back is passed by without a turn.
    for (;;) {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (heap.length > 0) {
        let at = 0;
        for (;;) {
          let child = 2 * at + 1;
          if (child >= heap.length) break;
          if (child + 1 < heap.length && sooner(heap[child + 1]!, heap[child]!)) child++;
          if (!sooner(heap[child]!, last)) break;
          heap[at] = heap[child]!;
          at = child;
        }
        heap[at] = last;
      }
      if (first.ring !== undefined) return first;
    }
  }
}

function sooner(one: Alarm, other: Alarm): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
