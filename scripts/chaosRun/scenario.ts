/** The order of a run: it is built up, then broken in cycles, each of which ends in a moment of rest. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../random/random.ts';
import { REPEATABLE, SERVICE, VERSIONS } from './application.ts';
import { Calls } from './calls.ts';
import { keepWorld } from './ending.ts';
import { watchBalancer, watchLinks } from './lookouts.ts';
import { Nemesis } from './nemesis.ts';
import { Person } from './person.ts';
import { startProber } from './prober.ts';
import { now, type Recording } from './recording.ts';
import { comesToRest, lookAround, needCare } from './rest.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

/** Of a cycle, before it comes to rest. */
const CYCLE_MS = [40_000, 70_000] as const;
const BETWEEN_ROUNDS_MS = [500, 5000] as const;
const BUILD_MS = 60_000;
/** Cycles in which nothing is broken that users could notice. */
const HARMLESS = 0.5;

export interface Options {
  seed: number;
  minutes: number;
  hosts: number;
}
export interface Ended extends Options {
  cycles: { harmless: number; harmful: number };
  rounds: number;
  /** Why it could not go on. */
  problem: string | null;
}

export class Scenario {
  readonly #options: Options;
  readonly #recording: Recording;
  readonly #world: World;
  readonly #calls: Calls;
  readonly #random: Random;
  readonly #nemesis: Nemesis;
  readonly #workload: Workload;
  readonly #person: Person;
  readonly #cycles = { harmless: 0, harmful: 0 };
  #rounds = 0;
  #say: (line: string) => void = () => {};

  constructor(options: Options, recording: Recording) {
    this.#options = options;
    this.#recording = recording;
    this.#random = new Random(options.seed);
    this.#world = new World(options.hosts, recording);
    this.#calls = new Calls(this.#world.network.hub, recording);
    this.#nemesis = new Nemesis(this.#world, this.#calls, recording, this.#random.fork());
    this.#workload = new Workload(this.#calls, this.#names, this.#random.fork());
    this.#person = new Person(this.#calls, this.#random.fork());
  }

  get #names(): string[] {
    return this.#world.hosts.map(({ name }) => name);
  }

  async play(say: (line: string) => void): Promise<Ended> {
    this.#say = say;
    this.#describe();
    await this.#world.start(this.#random.fork());
    const endLinks = watchLinks(this.#world, this.#recording);
    const endBalancer = watchBalancer(this.#world, this.#recording);
    let endProber = async () => {};
    let problem: string | null;
    try {
      problem = await this.#settleIn();
      endProber = startProber(this.#world.dir, this.#recording);
      const until = now() + this.#options.minutes * 60_000;
      while (problem === null && now() < until) problem = await this.#cycle(until);
    } finally {
      await endProber();
      endLinks();
      await endBalancer();
    }
    this.#recording.timeline({ at: now(), kind: 'end' });
    await keepWorld(this.#world, this.#recording.dir);
    return { ...this.#options, cycles: this.#cycles, rounds: this.#rounds, problem };
  }

  #describe(): void {
    const { seed, minutes, hosts } = this.#options;
    this.#recording.run({
      ...{ seed, minutes, service: SERVICE, hosts: this.#names, versions: VERSIONS, repeatable: REPEATABLE },
      maxHidden: hosts - this.#world.minVisible,
      minVisible: this.#world.minVisible,
      startedAt: now(),
      startedWall: Date.now(),
    });
  }

  /** Builds every version, and gets a first one everywhere. */
  async #settleIn(): Promise<string | null> {
    if (!(await comesToRest(this.#world, this.#calls, { deployed: false })))
      return 'the agents did not connect';
    for (const { version } of VERSIONS) {
      const { exit, stderr } = await this.#calls.call(['build', SERVICE, '--ref', `v${version}`], BUILD_MS);
      if (exit !== 0) return `${version} was not built: ${stderr}`;
    }
    for (let time = 0; time < 2; time += 1) {
      const { exit, stderr } = await this.#workload.deploy();
      if (exit !== 0) return `nothing could be deployed before anything was broken: ${stderr}`;
    }
    return this.#rest();
  }

  /** Why the run cannot go on, or null. */
  async #cycle(until: number): Promise<string | null> {
    const harmless = this.#random.chance(HARMLESS);
    this.#cycles[harmless ? 'harmless' : 'harmful'] += 1;
    const end = Math.min(until, now() + this.#random.between(...CYCLE_MS));
    const working = new AbortController();
    const looking = new AbortController();
    const work = this.#workload.run(working.signal);
    const person = this.#person.watch(looking.signal);
    while (now() < end) await this.#round(harmless);
    working.abort();
    await work;
    const problem = await this.#rest();
    looking.abort();
    await person;
    return problem ?? this.#lookAfter();
  }

  async #round(harmless: boolean): Promise<void> {
    const faults = this.#nemesis.choose(harmless);
    this.#rounds += 1;
    await this.#nemesis.round(faults);
    await sleep(this.#random.between(...BETWEEN_ROUNDS_MS));
    const broken = faults.map(({ kind, host }) => `${kind}${host === null ? '' : ` ${host}`}`).join(', ');
    const called = this.#calls.takeEnded().join(', ');
    this.#say(`round ${this.#rounds}${harmless ? ' (harmless)' : ''}: ${broken} | ${called || '-'}`);
  }

  async #rest(): Promise<string | null> {
    const rested = await comesToRest(this.#world, this.#calls, { deployed: true });
    const state = await lookAround(this.#world, this.#calls);
    this.#recording.timeline({ at: now(), kind: 'quiescent', state });
    this.#say(`at rest: ${rested ? 'yes' : 'NO'} | ${this.#calls.takeEnded().join(', ')}`);
    return rested ? null : 'it did not come to rest';
  }

  /** As a person does after a bad day: first the hosts that need it, then a deployment that has to succeed. */
  async #lookAfter(): Promise<string | null> {
    const hosts = needCare((await this.#calls.call(['status', '--json'])).json);
    const repaired = hosts.length === 0 ? null : await this.#workload.deploy(hosts);
    const deployed = await this.#workload.deploy();
    const failed = [repaired, deployed].find((called) => called !== null && called.exit !== 0);
    this.#say(`mended: ${this.#calls.takeEnded().join(', ')}`);
    return failed ? `a deployment failed although nothing was broken: ${failed.stderr}` : null;
  }

  async remove(): Promise<void> {
    this.#calls.killAll();
    await this.#world.remove();
  }
}
