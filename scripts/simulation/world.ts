/** A fleet: hosts with agents, balancers, and a controller that dies and starts again on its one database. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agent } from '@fleet/agent/agent.ts';
import { controllerConfig } from '@fleet/config/controller.ts';
import type { FleetConfig } from '@fleet/controller/config/config.ts';
import type { Deployer } from '@fleet/controller/deploy/deployer.ts';
import { computeRecap } from '@fleet/controller/deploy/finish.ts';
import { batchSizes } from '@fleet/controller/deploy/strategies/batches.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { Random } from '../random/random.ts';
import { SimulatedBalancer } from './balancer.ts';
import type { SimulatedClock } from './clock.ts';
import { type Controller, databaseFault, startController } from './controller.ts';
import { SimulatedHost } from './host.ts';
import { Invariants } from './invariants.ts';
import type { Life } from './life.ts';
import { Network, type Trouble } from './network.ts';
import { FIRST, SERVICES, type Shelf } from './shelf.ts';
import type { Story } from './story.ts';

/** Every commit is synced, which takes most of the time on a disk and none here. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
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
  controller: Controller | undefined;
  readonly #config: FleetConfig;
  readonly #dir = mkdtempSync(join(MEMORY, 'fleet-simulated-'));
  #known = 0;

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
    this.#config = configOf(this.random, batch, minVisible);
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
    story.tell(`a fleet of ${names.join(', ')}: ${JSON.stringify(this.#config.environments)}`);
  }

  /** Hosts and controller are up, and run the first version of each service. */
  async begin(): Promise<void> {
    for (const host of this.hosts.values()) await host.start();
    await this.startController();
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
    this.controller?.life.end();
    for (const host of this.hosts.values()) host.life?.end();
    await this.controller?.store.close();
    rmSync(this.#dir, { recursive: true });
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
    return [...this.hosts.keys()].every((name) => this.controller?.network.isConnected(name));
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
    const controller = this.controller;
    if (controller === undefined) return undefined;
    const { deployer, life } = controller;
    const asking = life.act(() => work(deployer)).catch((error: unknown) => error as Error);
    const answer = await Promise.race([asking, life.ended]);
    this.story.tell(
      `${what}: ${answer instanceof Error ? answer.message.replace(/ since \S+/, '') : answer}`,
    );
    if (answer instanceof Error || answer === undefined) return undefined;
    if (typeof answer === 'number') {
      this.#known = Math.max(this.#known, answer);
      if (!this.recaps.some(({ deployment }) => deployment === answer)) this.unfinished.add(answer);
    }
    return answer;
  }

  // The controller.

  async startController(): Promise<void> {
    const controller = await startController({
      config: this.#config,
      file: join(this.#dir, 'fleet.sqlite'),
      clock: this.clock,
      files: this.shelf.files,
      balancer: (name) => this.balancers.get(name)!,
      network: (life) =>
        new Network({
          clock: this.clock,
          random: this.random.fork(),
          life,
          troubles: this.troubles,
          files: this.shelf.files,
          watcher: {
            onDelivered: (host, deed) => this.invariants.onDelivered(host, deed),
            onAnswered: (...args) => this.invariants.onAnswered(...args),
            onRefused: (...args) => this.invariants.onRefused(...args),
            onStranded: () => {
              this.clock.after(1, () => {
                if (life.over) return;
                this.story.fault('controller killed');
                this.killController(this.random.between(50, 2000));
              });
            },
            onFault: (kind) => this.story.fault(kind),
          },
        }),
      beforeWrite: () => this.#beforeWrite(),
      // What a disk or a database says is no fault of the program's own.
      onFault: (message) => {
        if (!/EIO/.test(message)) this.story.violated('unforeseen', message);
      },
    });
    this.story.tell(`controller up, epoch ${controller.store.epoch}`);
    this.controller = controller;
    const { life, store, deployer } = controller;
    store.events.follow(({ topic, event }) => {
      if (life.over) return;
      const deployment = Number(topic.split('/')[1]);
      if (event.type === 'step.ended') {
        const { host, kind, outcome, rescue, message } = event;
        this.story.tell(
          `${deployment} ${host} ${kind}${rescue ? ' (going back)' : ''} ${outcome}: ${message}`,
        );
      } else if (event.type === 'note') this.story.tell(`${deployment} note: ${event.text}`);
      else if (event.type !== 'step.progress') this.story.tell(`${deployment} ${event.type}`);
      this.invariants.onEvent(deployment, event);
      if (event.type === 'deployment.ended') this.#ended(event.recap);
    });
    await this.#compare(controller);
    try {
      await Promise.race([life.act(() => deployer.takeUp()), life.ended]);
      controller.keepRecords();
    } catch (error) {
      // What it cannot take up now its successor does.
      this.story.tell(`controller ends: ${String(error)}`);
      this.killController(1000);
    }
  }

  /** `kill -9`, and somebody starts it again after a while. */
  killController(backAfterMs: number): void {
    const { controller } = this;
    if (controller === undefined) return;
    this.controller = undefined;
    controller.life.end();
    const closed = controller.store.close();
    this.clock.after(backAfterMs, () => void closed.then(() => this.startController()));
  }

  /** SIGTERM. */
  async parkController(backAfterMs: number): Promise<void> {
    const { controller } = this;
    if (controller === undefined) return;
    controller.parking.abort();
    await Promise.race([controller.deployer.idle(), controller.life.ended, this.clock.sleep(30_000)]);
    if (this.controller === controller) this.killController(backAfterMs);
  }

  /** What the last controller acknowledged is known to this one. */
  async #compare({ store }: Controller): Promise<void> {
    const points = await Promise.all(
      SERVICES.map((service) => store.rollbackPoints.list(service, 'production')),
    );
    this.invariants.told.checkAcknowledged(
      new Set(points.flat().map(({ deployment, host }) => `${deployment} ${host}`)),
    );
    for (const record of (await store.deployments.list({ limit: 20 })).reverse()) {
      const { id, endedAt } = record;
      if (id > this.#known) this.unfinished.add(id);
      this.#known = Math.max(this.#known, id);
      if (endedAt !== null && this.unfinished.has(id)) this.#ended(await computeRecap(id, { store }));
      const told = this.recaps.find(({ deployment }) => deployment === id);
      if (told !== undefined && told.exit !== record.exit)
        this.story.violated('I12', `deployment ${id} ended with ${told.exit}, and now with ${record.exit}`);
    }
    const newest = (await store.deployments.list({ limit: 1 }))[0]?.id ?? 0;
    if (newest < this.#known)
      this.story.violated('I12', `deployment ${this.#known} was acknowledged and is lost`);
  }

  #ended(recap: Recap): void {
    const { deployment, service, version, exit, state, failure } = recap;
    const why = failure === null ? '' : `, ${failure.host} ${failure.step} ${failure.code}`;
    this.story.tell(`deployment ${deployment} of ${service} ${version} ended: ${state}, exit ${exit}${why}`);
    this.unfinished.delete(deployment);
    this.#known = Math.max(this.#known, deployment);
    this.recaps.push(recap);
    this.invariants.onEnded(recap);
  }

  #beforeWrite(): void {
    if (this.database.fails === 0) return;
    this.database.fails--;
    this.story.fault(this.database.full ? 'database full' : 'database busy');
    throw databaseFault(this.database.full);
  }

  // Hosts.

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

function configOf(random: Random, batch: string[], minVisible: number): FleetConfig {
  const strategy = {
    batch,
    min_visible: minVisible,
    ...random.pick([{ drain: '0ms' }, { drain: '1s' }, { drain: '3s', on_drain_timeout: 'fail' }]),
    unhide: random.pick(['2s', '20s']),
    settle: random.pick(['0ms', '600ms', '2s']),
    patience: random.pick(['1s', '10s', '30s']),
    on_failure: random.pick(['rollback_host', 'rollback_host', 'rollback_all', 'stop']),
    stage_parallel: random.pick([1, 8]),
  };
  const [web, jobs] = SERVICES;
  const hosts = { environment: 'production' };
  const source = { git: 'nowhere' };
  const config = controllerConfig.parse({
    services: { [web]: { source, keep: random.pick([2, 3, 5]) }, [jobs]: { source, keep: 2 } },
    balancers: { [web]: { kind: 'haproxy', address: '/nowhere' } },
    environments: {
      production: {
        services: {
          [web]: { hosts, strategy, balancer: { name: web, backend: web } },
          [jobs]: { hosts, strategy: { ...strategy, batch: ['2'], settle: '0ms' } },
        },
      },
    },
  });
  return { ...config, file: 'controller.yaml' };
}
