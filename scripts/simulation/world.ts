/** A fleet: hosts with agents, balancers, and a controller that dies and starts again on its one database. */
import type { Agent } from '@fleet/agent/agent.ts';
import type { Deployer } from '@fleet/controller/deploy/deployer.ts';
import { batchSizes } from '@fleet/controller/deploy/strategies/batches.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { Random } from '../random/random.ts';
import { SimulatedBalancer } from './balancer.ts';
import type { SimulatedClock } from './clock.ts';
import { configOf } from './config.ts';
import type { Controller } from './controller.ts';
import { Controllers } from './controllers.ts';
import { SimulatedHost } from './host.ts';
import { Invariants } from './invariants.ts';
import type { Life } from './life.ts';
import type { Trouble } from './network.ts';
import { FIRST, SERVICES, type Shelf } from './shelf.ts';
import type { Story } from './story.ts';

const NAMES = ['a', 'b', 'c', 'd'];
/** A deployment that has not ended by then never will. Milliseconds of simulated time. */
const PATIENCE = 4 * 3_600_000;

export class World {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly story: Story;
  readonly shelf: Shelf;
  readonly hosts = new Map<string, SimulatedHost>();
  /** By service. */
  readonly balancers = new Map<string, SimulatedBalancer>();
  readonly invariants: Invariants;
  /** What happens to messages, by host. */
  readonly troubles = new Map<string, Trouble[]>();
  /** Hosts that nobody reaches, until then. */
  readonly cutUntil = new Map<string, number>();
  /** Writes that fail. */
  readonly database = { fails: 0, full: false };
  /** Deployments that were begun and have not ended. */
  readonly unfinished = new Set<number>();
  readonly recaps: Recap[] = [];
  readonly controllers: Controllers;

  constructor(seed: number, clock: SimulatedClock, story: Story, shelf: Shelf) {
    this.clock = clock;
    this.story = story;
    this.shelf = shelf;
    // Fleets are played from neighbouring seeds.
    this.random = new Random(seed, 8);
    const names = NAMES.slice(0, this.random.pick([1, 2, 2, 3, 3, 4]));
    const batch = this.random.pick([['1'], ['1'], ['2'], ['1', '50%']]);
    // What a gate would refuse whatever happens is no use.
    const minVisible = this.random.below(names.length - Math.max(...batchSizes(batch, names.length)) + 1);
    const config = configOf(this.random, batch, minVisible);
    for (const name of names) this.hosts.set(name, this.#host(name));
    const programs = new Map([...this.hosts].map(([name, host]) => [name, host.programs]));
    const [web] = SERVICES;
    this.balancers.set(
      web,
      new SimulatedBalancer({
        backend: web,
        programs,
        clock,
        random: this.random.fork(),
        onSet: (server, admin, before) => this.invariants.onSet(web, server, admin, before),
        onTrouble: (kind) => story.fault(`balancer ${kind}`),
      }),
    );
    this.invariants = new Invariants({ ...this, minVisible });
    this.controllers = new Controllers(this, config);
    story.tell(`a fleet of ${names.join(', ')}: ${JSON.stringify(config.environments)}`);
  }

  /** The one that runs now. */
  get controller(): Controller | undefined {
    return this.controllers.now;
  }

  /** Hosts and controller are up, and run the first version of each service. */
  async begin(): Promise<void> {
    for (const host of this.hosts.values()) await host.start();
    await this.controllers.start();
    const { store } = this.controller!;
    for (const { record } of this.shelf.all()) await store.artifacts.add(record);
    await this.until(() => this.allConnected());
    for (const service of SERVICES) {
      const request = { service, version: FIRST, skipChecks: [], soak: 0 };
      const id = await this.ask('deploy', (deployer) => deployer.start(request, 'ann'));
      await this.end();
      if (!this.recaps.some(({ deployment, exit }) => deployment === id && exit === 0))
        this.story.violated('I18', `nothing has gone wrong yet, and ${service} cannot be deployed`);
    }
  }

  async close(): Promise<void> {
    for (const host of this.hosts.values()) host.life?.end();
    await this.controllers.close();
  }

  /** Waits for something, looking often. Never for ever. */
  async until(holds: () => boolean, what = 'something that was due'): Promise<void> {
    const end = this.clock.now() + PATIENCE;
    while (!holds() && this.story.violation === undefined) {
      if (this.clock.now() > end) {
        this.story.violated('I18', `${what} has not come in ${PATIENCE / 3_600_000} hours`);
        return;
      }
      await this.clock.sleep(100);
    }
  }

  allConnected(): boolean {
    // Of a host that has lost its power the connection stays for a while.
    return [...this.hosts.values()].every(
      ({ life, name }) => life?.over === false && this.controller?.network.isConnected(name),
    );
  }

  /** Waits until every deployment has ended. */
  end(): Promise<void> {
    return this.until(() => this.unfinished.size === 0, `the end of ${[...this.unfinished].join(', ')}`);
  }

  /** Somebody asks the controller that runs. Undefined where it died before it answered, or refused. */
  async ask(
    what: string,
    work: (deployer: Deployer) => Promise<number | string | null>,
  ): Promise<number | string | null | undefined> {
    await this.until(() => this.controller !== undefined, 'a controller');
    return this.controllers.ask(what, work);
  }

  #host(name: string): SimulatedHost {
    const { clock, random, story } = this;
    const self = (): SimulatedHost => this.hosts.get(name)!;
    return new SimulatedHost({
      name,
      clock,
      random,
      watcher: {
        onStart: (...args) => this.invariants.onStart(self(), ...args),
        onStop: (...args) => this.invariants.onStop(self(), ...args),
        onHookBegun: (run) => this.invariants.onHookBegun(self(), run),
        onHookCompleted: (run) => this.invariants.onHookCompleted(self(), run),
        onFault: (kind) => story.fault(kind, name),
      },
      onRename: (to) => this.invariants.onRename(self(), to),
      onDiskFault: (kind) => story.fault(kind, name),
      onUp: (host, agent, life) => void this.#keepConnected(host, agent, life),
      log: (line) => story.tell(line),
    });
  }

  /** As an agent does it: it dials until it is let in, and again when the connection is lost. */
  async #keepConnected(host: SimulatedHost, agent: Agent, life: Life): Promise<void> {
    const random = this.random.fork();
    for (let pause = 20; ; pause = random.between(200, 5000)) {
      await life.act(() => this.clock.sleep(pause));
      const { controller } = this;
      if (controller === undefined || (this.cutUntil.get(host.name) ?? 0) > this.clock.now()) continue;
      const { network, store } = controller;
      try {
        await life.act(() =>
          network.connect(host, agent, life, async (hello) => {
            await store.raiseEpochAbove(hello.epochs?.[store.fleet] ?? 0);
            await store.hosts.save(hello);
            this.story.tell(`${host.name} connected`);
          }),
        );
        this.story.tell(`${host.name} disconnected`);
      } catch (error) {
        this.story.tell(`${host.name} is not let in: ${String(error)}`);
      }
    }
  }
}
