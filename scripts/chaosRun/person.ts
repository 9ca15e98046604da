/** Whoever is called when a deployment waits for somebody: looks every few seconds, and decides. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random/random.ts';
import type { Calls } from './calls.ts';
import { type Running, serviceIn } from './replies.ts';

const LOOK_MS = 4000;

export class Person {
  readonly #calls: Calls;
  readonly #random: Random;
  /** What was paused at the last look: somebody may be about to resume it. */
  #paused: number | undefined;

  constructor(calls: Calls, random: Random) {
    this.#calls = calls;
    this.#random = random;
  }

  /** Resolves when `signal` has fired. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const running = serviceIn((await this.#calls.call(['status', '--json'])).json)?.running;
      await this.#decide(running ?? undefined);
    }
  }

  async #decide(running: Running | undefined): Promise<void> {
    const before = this.#paused;
    this.#paused = running?.state === 'paused' ? running.deployment : undefined;
    const id = String(running?.deployment);
    if (running?.state === 'waiting') await this.#calls.call([...this.#answer(id), '--json']);
    else if (this.#paused !== undefined && this.#paused === before)
      await this.#calls.call(['resume', id, '--json']);
  }

  /** A hook was interrupted that must not run again unasked. */
  #answer(id: string): string[] {
    const answers = { retry: ['retry', id, '--no-wait'], skip: ['skip', id], abort: ['abort', id] };
    return answers[this.#random.weighted({ retry: 4, skip: 2, abort: 1 })];
  }
}
