/** What people and CI jobs do all day: deploy, go back, deploy what is broken, get in each other's way, change their minds. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random/random.ts';
import { SERVICE, VERSIONS } from './application.ts';
import { type Called, type Calls, WATCHING_MS } from './calls.ts';
import { deploymentIn, serviceIn } from './replies.ts';

const GOOD = VERSIONS.filter(({ broken }) => !broken).map(({ version }) => version);
const BROKEN = VERSIONS.filter(({ broken }) => broken).map(({ version }) => version);
const REFUSED = 3;

const ACTS = {
  deploy: 8,
  deployToSome: 2,
  deployBroken: 3,
  rollback: 3,
  rollbackOne: 2,
  retry: 2,
  twoAtOnce: 2,
  pauseAndResume: 2,
  pauseAndAbort: 1,
  abort: 2,
};
type Act = keyof typeof ACTS;

export class Workload {
  readonly #calls: Calls;
  readonly #hosts: readonly string[];
  readonly #random: Random;
  #last: number | undefined;

  constructor(calls: Calls, hosts: readonly string[], random: Random) {
    this.#calls = calls;
    this.#hosts = hosts;
    this.#random = random;
  }

  /** Act after act. Resolves when `signal` has fired and the last one is over. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#act(this.#random.weighted(ACTS));
      await sleep(this.#random.between(50, 1500), undefined, { signal }).catch(() => {});
    }
  }

  /** A deployment of a good version to every host, or to those that are named. */
  deploy(hosts: readonly string[] = []): Promise<Called> {
    return this.#watched(['deploy', SERVICE, '--version', this.#random.pick(GOOD), ...only(hosts)]);
  }

  async #act(act: Act): Promise<void> {
    const random = this.#random;
    switch (act) {
      case 'deploy':
        return this.#orAttach(this.deploy());
      case 'deployToSome':
        return this.#orAttach(this.deploy(this.#someHosts()));
      case 'deployBroken':
        return this.#orAttach(this.#watched(['deploy', SERVICE, '--version', random.pick(BROKEN)]));
      case 'rollback':
        return this.#orAttach(this.#watched(['rollback', SERVICE, '--yes']));
      case 'rollbackOne':
        return this.#orAttach(
          this.#watched(['rollback', SERVICE, '--yes', ...only([random.pick(this.#hosts)])]),
        );
      case 'retry':
        return this.#last === undefined
          ? undefined
          : this.#orAttach(this.#watched(['retry', String(this.#last)]));
      case 'twoAtOnce':
        await Promise.all([this.deploy(), this.deploy()]);
        return;
      default:
        await Promise.all([this.deploy(), this.#interfere(act)]);
    }
  }

  /** While a deployment is under way. */
  async #interfere(act: 'pauseAndResume' | 'pauseAndAbort' | 'abort'): Promise<void> {
    await sleep(this.#random.between(800, 8000));
    const running = serviceIn((await this.#calls.call(['status', '--json'])).json)?.running;
    if (running === undefined || running === null) return;
    const id = String(running.deployment);
    if (act !== 'abort') {
      await this.#calls.call(['pause', id, '--json']);
      await sleep(this.#random.between(0, 5000));
    }
    await this.#calls.call([act === 'pauseAndResume' ? 'resume' : 'abort', id, '--json']);
  }

  /** Who is told that somebody else is deploying watches that. */
  async #orAttach(calling: Promise<Called>): Promise<void> {
    const { exit } = await calling;
    if (exit === REFUSED && this.#random.chance(0.5)) await this.#watched(['attach']);
  }

  async #watched(argv: string[]): Promise<Called> {
    const called = await this.#calls.call([...argv, '--json'], WATCHING_MS);
    this.#last = deploymentIn(called.json) ?? this.#last;
    return called;
  }

  #someHosts(): string[] {
    const some = this.#hosts.filter(() => this.#random.chance(0.4));
    return some.length > 0 ? some : [this.#random.pick(this.#hosts)];
  }
}

function only(hosts: readonly string[]): string[] {
  return hosts.length === 0 ? [] : ['--host', hosts.join(',')];
}
