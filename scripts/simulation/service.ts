/**
 * The programs of one host: services, with what watches over them, and hooks. They live on when the agent dies, and end when
 * the power does.
 */
import type { Instance, Supervisor } from '@fleet/agent/supervisors/supervisor.ts';
import type { runChecks } from '@fleet/checks/runChecks.ts';
import type { run } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { CheckResult } from '@fleet/protocol/messages/check.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { Random } from '../random/random.ts';
import type { SimulatedClock } from './clock.ts';
import { type Deed, deed } from './deed.ts';
import type { Life } from './life.ts';

interface Wish {
  version: string;
  /** Version and values: what is asked for again is left alone. */
  key: string;
}

export interface Program extends Wish {
  since: number;
}

/** What becomes of a version on this host. */
export type Sickness = 'does not start' | 'fails its checks' | 'does not stay well';

export interface HookRun {
  name: string;
  service: string;
  version: string;
  by: Deed | undefined;
}

export interface Watcher {
  onStart(service: string, version: string): void;
  onStop(service: string, version: string): void;
  onHookBegun(run: HookRun): void;
  onHookCompleted(run: HookRun): void;
  onFault(kind: 'service does not start' | 'service unwell' | 'hook fails' | 'service does not stop'): void;
}

export class Programs {
  readonly running = new Map<string, Program>();
  readonly sick = new Map<string, Sickness>();
  /** Hooks, and stops, that fail: a number of times. */
  failingHooks = 0;
  failingStops = 0;
  readonly #wanted = new Map<string, Wish>();
  /** What could not be stopped, and runs with nobody watching over it. */
  readonly #orphans = new Set<string>();
  /** What has passed its smoke test since it was started by a command, and has not failed one since. */
  readonly #proven = new Map<string, string>();
  /** What has passed the last smoke test, or single look at it, since it was started by a command. */
  readonly #passed = new Map<string, string>();
  readonly #hooks = new Set<{ killed: boolean }>();
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #watcher: Watcher;

  constructor(clock: SimulatedClock, random: Random, watcher: Watcher) {
    this.#clock = clock;
    this.#random = random;
    this.#watcher = watcher;
  }

  /** The version that its supervisor answers for. */
  watchedVersion(service: string): string | null {
    return this.#orphans.has(service) ? null : (this.running.get(service)?.version ?? null);
  }

  sicknessOf(service: string, version: string): Sickness | undefined {
    return this.sick.get(`${service} ${version}`);
  }

  /** Whether it answers users. */
  isUp(service: string): boolean {
    const program = this.running.get(service);
    return program !== undefined && this.sicknessOf(service, program.version) !== 'fails its checks';
  }

  /** Also where it has ended since by itself, or with the power: it is what comes back. */
  isProven(service: string): boolean {
    const wish = this.#wanted.get(service);
    return wish !== undefined && this.#proven.get(service) === wish.key;
  }

  /** Whether it runs, and was well when it was last looked at since it was started by a command. */
  hasPassed(service: string): boolean {
    const program = this.running.get(service);
    return program !== undefined && this.#passed.get(service) === program.key;
  }

  /** A smoke test has ended, or a single look at it. */
  prove(service: string, { passed, look }: { passed: boolean; look: boolean }): void {
    const program = this.running.get(service);
    if (!passed || program === undefined) {
      this.#proven.delete(service);
      this.#passed.delete(service);
      return;
    }
    if (!look) this.#proven.set(service, program.key);
    this.#passed.set(service, program.key);
  }

  supervisorFor(life: Life): Supervisor {
    return {
      start: (instance) => life.act(() => this.#start(instance)),
      stop: ({ service }) => life.act(() => this.#stop(service)),
      status: ({ service }) => life.act(() => this.#status(service)),
    };
  }

  /** What the supervisor does when an agent starts. */
  async revive(service: string): Promise<boolean> {
    const wish = this.#wanted.get(service);
    if (wish === undefined || this.running.has(service)) return false;
    await this.#clock.sleep(this.#random.between(10, 200));
    if (this.#wanted.get(service) !== wish || this.running.has(service)) return false;
    this.#run(service, wish);
    return true;
  }

  /** It ends by itself, and is started again after a while. */
  crash(service: string): boolean {
    const program = this.running.get(service);
    if (program === undefined) return false;
    this.running.delete(service);
    this.#orphans.delete(service);
    this.#clock.after(this.#random.between(100, 4000), () => {
      const wish = this.#wanted.get(service);
      if (wish?.key === program.key && !this.running.has(service))
        this.running.set(service, { ...program, since: this.#clock.now() });
    });
    return true;
  }

  cutPower(): void {
    this.running.clear();
    this.#orphans.clear();
    this.endHooks();
  }

  /** Hooks of an earlier life. */
  endHooks(): number {
    const ended = this.#hooks.size;
    for (const hook of this.#hooks) hook.killed = true;
    this.#hooks.clear();
    return ended;
  }

  hookRunner(life: Life): typeof run {
    return ({ argv, env }) => life.act(() => this.#runHook(argv[1] ?? '', env));
  }

  checker(life: Life): typeof runChecks {
    return (checks, { environment, signal }, { onceOnly }) =>
      Promise.all(
        checks.map(({ name, within, interval }) =>
          life.act(() => this.#check(name, environment, onceOnly ? 0 : within, interval, signal)),
        ),
      );
  }

  async #start({ service, version, environment }: Instance): Promise<void> {
    const wish = { version, key: `${version} ${JSON.stringify(environment)}` };
    if (this.#wanted.get(service)?.key === wish.key && this.running.has(service)) return;
    await this.#stop(service);
    this.#proven.delete(service);
    this.#passed.delete(service);
    this.#wanted.set(service, wish);
    await this.#clock.sleep(this.#random.between(10, 300));
    if (this.#wanted.get(service) !== wish) return;
    if (this.sicknessOf(service, version) !== 'does not start') {
      this.#run(service, wish);
      return;
    }
    this.#watcher.onFault('service does not start');
    this.#wanted.delete(service);
    throw new FleetError('start_failed', `${service} ${version} did not start: it is sick here`);
  }

  #run(service: string, wish: Wish): void {
    this.#watcher.onStart(service, wish.version);
    this.running.set(service, { ...wish, since: this.#clock.now() });
  }

  async #stop(service: string): Promise<void> {
    await this.#clock.sleep(this.#random.between(1, 100));
    if (this.failingStops > 0 && this.running.has(service)) {
      this.failingStops--;
      this.#wanted.delete(service);
      this.#orphans.add(service);
      this.#watcher.onFault('service does not stop');
      throw new FleetError('stop_failed', `${service} still runs after SIGKILL`);
    }
    const program = this.running.get(service);
    if (program !== undefined) this.#watcher.onStop(service, program.version);
    this.#wanted.delete(service);
    this.#orphans.delete(service);
    this.running.delete(service);
  }

  #status(service: string): ServiceState {
    if (this.running.has(service)) return this.#orphans.has(service) ? 'unknown' : 'running';
    return this.#wanted.has(service) ? 'failed' : 'stopped';
  }

  async #runHook(name: string, env: Readonly<Record<string, string>>): ReturnType<typeof run> {
    const { FLEET_SERVICE: service = '', FLEET_VERSION: version = '' } = env;
    const ms = this.#random.between(5, 800);
    const hook = { killed: false };
    const hookRun = { name, service, version, by: deed() };
    this.#hooks.add(hook);
    this.#watcher.onHookBegun(hookRun);
    await this.#clock.sleep(ms);
    const output = { text: `${name}\n`, dropped: 0 };
    if (hook.killed) return { reason: 'exited', code: null, signal: 'SIGKILL', output, ms };
    this.#hooks.delete(hook);
    const fails = this.failingHooks > 0;
    if (fails) {
      this.failingHooks--;
      this.#watcher.onFault('hook fails');
    }
    this.#watcher.onHookCompleted(hookRun);
    return { reason: 'exited', code: fails ? 1 : 0, signal: null, output, ms };
  }

  async #check(
    name: string,
    env: Readonly<Record<string, string>>,
    within: number,
    interval: number,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const { FLEET_SERVICE: service = '', FLEET_VERSION: version = '' } = env;
    const since = this.#clock.now();
    for (let tries = 1; ; tries++) {
      await this.#clock.sleep(this.#random.between(1, 20));
      const passed = this.#answers(service, version, within === 0);
      const ms = this.#clock.now() - since;
      if (passed || ms + interval >= within || signal.aborted)
        return { name, passed, tries, ms, detail: passed ? '200' : '500' };
      await this.#clock.sleep(interval);
    }
  }

  #answers(service: string, version: string, settling: boolean): boolean {
    if (this.running.get(service)?.version !== version) return false;
    const sickness = this.sicknessOf(service, version);
    const well = sickness !== 'fails its checks' && !(sickness === 'does not stay well' && settling);
    if (!well) this.#watcher.onFault('service unwell');
    return well;
  }
}
