/**
 * A fleet for tests: the real deployer, runner and store, on hosts and behind a balancer that are in memory. What happens
 * is kept as a story, a line an act, and what must never happen is noticed whatever a test looks at.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isVisible } from '@fleet/balancers/balancer.ts';
import { controllerConfig } from '@fleet/config/controller.ts';
import type { PlanRequest } from '@fleet/protocol/api/plans.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Test } from 'tap';
import type { FleetConfig } from '../config/config.ts';
import { Secrets } from '../secrets/secrets.ts';
import type { ArtifactRecord } from '../store/artifacts.ts';
import { createStore, type Store } from '../store/store.ts';
import { FakeBalancer } from './balancer.fixture.ts';
import { VirtualClock } from './clock.fixture.ts';
import type { Deps } from './context.ts';
import { Deployer } from './deployer.ts';
import { realDisk } from './disk.ts';
import { computeRecap } from './finish.ts';
import { FakeAgents, type FakeHost } from './hosts.fixture.ts';
import { type Interruption, Moments, NEVER } from './moments.fixture.ts';
import { fillShelf, SERVICE } from './shelf.fixture.ts';
import { Turns } from './turns.ts';

export const OLD = '1.0.0';
export const NEW = '1.1.0';
/** Has once steps. */
export const MIGRATING = '1.2.0';

/** Every commit is synced, which takes most of the time on a disk and none here; what is lost without it, others test. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/** As long as a controller that has just started waits for agents. */
const AGENTS_BACK_MS = 6000;

export interface Setting {
  hosts?: string[];
  /** As controller.yaml writes it. */
  strategy?: object;
  /** `address`: it takes in servers that it does not have. */
  balancer?: boolean | { address: string };
  /** What all hosts run at the beginning, verified and recorded. `null`: they are new. */
  running?: string | null;
  values?: Record<string, string>;
  onceOn?: string;
}

/** One life of a controller, from its start to its end. */
export interface Controller {
  store: Store;
  deployer: Deployer;
  deps: Deps;
  parking: AbortController;
  moments: Moments;
}

/** What makes fleets for one test file: the artifacts are packed once. */
export async function fleets(t: Test): Promise<(t: Test, setting?: Setting) => Promise<Fleet>> {
  const shelf = await fillShelf(folderFor(t), [OLD, NEW, MIGRATING]);
  return async (t, setting = {}) => {
    const fleet = new Fleet(t, folderFor(t), setting);
    t.teardown(() => fleet.stop());
    await fleet.settleIn(shelf);
    return fleet;
  };
}

function folderFor(t: Test): string {
  const dir = mkdtempSync(join(MEMORY, 'fleet-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

export class Fleet {
  readonly clock = new VirtualClock();
  readonly agents: FakeAgents;
  readonly balancer: FakeBalancer;
  /** What went wrong that nobody foresaw, in the logs of all controllers. */
  readonly faults: string[] = [];
  /** What was seen through last took more than one life of a controller. */
  interrupted = false;
  /** Called at each act, with its line. */
  onAct: (line: string) => void = () => {};
  readonly #t: Test;
  readonly #dir: string;
  readonly #setting: Setting;
  #config: FleetConfig;
  readonly #story: string[] = [];
  #controller: Controller | undefined;

  constructor(t: Test, dir: string, setting: Setting) {
    this.#t = t;
    this.#dir = dir;
    this.#setting = setting;
    this.#config = configOf(setting);
    this.agents = new FakeAgents(setting.hosts ?? ['a', 'b', 'c'], this.clock, (line) => this.#act(line));
    this.balancer = new FakeBalancer(this.agents.hosts, (line) => this.#act(line));
  }

  /** The file, for whoever looks at it from outside. */
  get database(): string {
    return join(this.#dir, 'fleet.sqlite');
  }

  host(name: string): FakeHost {
    return this.agents.of(name);
  }

  /** What happened since the last time that somebody asked. */
  story(): string[] {
    return this.#story.splice(0);
  }

  /** The lines of the story that tell of these acts. */
  storyOf(...verbs: string[]): string[] {
    return this.story().filter((line) => verbs.includes(line.split(' ')[1] ?? ''));
  }

  /** Versions that run, by host. */
  running(): Record<string, string | null> {
    return Object.fromEntries([...this.agents.hosts.values()].map(({ name, running }) => [name, running]));
  }

  /** The controller's configuration changes before its next start. */
  configure(more: Partial<Setting>): void {
    this.#config = configOf({ ...this.#setting, ...more });
  }

  /** Starts a controller on the one database, with an epoch of its own. */
  async start(interruption: Interruption = NEVER): Promise<Controller> {
    await this.stop();
    const parking = new AbortController();
    const moments = new Moments(interruption, parking);
    const known = new KnownSecrets();
    const store = await createStore(join(this.#dir, 'fleet.sqlite'), undefined, known);
    const watched = watchedStore(store, moments);
    const balancer = moments.watch(this.balancer, ['set', 'servers', 'add']);
    const deps: Deps = {
      config: this.#config,
      store: watched,
      agents: moments.watch(this.agents, ['ask', 'send']),
      balancer: () => balancer,
      clock: this.clock,
      disk: realDisk,
      turns: new Turns(),
      secrets: new Secrets(this.#config.secrets, known, store.fingerprintKey),
      log: {
        info() {},
        warn() {},
        error: (data, message) => {
          if (!moments.dead) this.faults.push(`${message}: ${String('err' in data ? data.err : '')}`);
        },
      },
      signing: null,
      outputs: join(this.#dir, 'outputs'),
      settledAt: this.clock.now() + AGENTS_BACK_MS,
      parking: parking.signal,
    };
    const dir = (name: string) => join(this.#dir, name);
    const dirs = { git: dir('git'), work: dir('work'), artifacts: dir('artifacts'), logs: dir('logs') };
    this.#controller = { store, deployer: new Deployer(deps, { ...deps, dirs }), deps, parking, moments };
    return this.#controller;
  }

  /** The controller that runs now. */
  async controller(): Promise<Controller> {
    return this.#controller ?? this.start();
  }

  /** Asks the controller that runs now to stop at the next step boundary. */
  park(): void {
    this.#controller?.parking.abort();
  }

  async stop(): Promise<void> {
    const controller = this.#controller;
    if (controller === undefined) return;
    this.#controller = undefined;
    if (!controller.moments.dead) {
      controller.parking.abort();
      await controller.deployer.idle();
    }
    // What the hosts were told they carry out, whether or not somebody still waits for it.
    for (let turns = 0; turns < 5; turns++) await turn();
    await controller.store.close();
  }

  deploy(
    version: string,
    more: Partial<PlanRequest> = {},
    interruptions: Interruption[] = [],
  ): Promise<Recap> {
    const request: PlanRequest = { service: SERVICE, version, skipChecks: [], ...more };
    return this.#seeThrough(({ deployer }) => deployer.start(request, 'ann'), interruptions);
  }

  rollback(more: { to?: string; hosts?: string[] } = {}, interruptions: Interruption[] = []): Promise<Recap> {
    const request = { service: SERVICE, skipChecks: [], ...more };
    return this.#seeThrough(({ deployer }) => deployer.rollback(request, 'ann'), interruptions);
  }

  /** Rejects where there is nothing to retry. */
  retry(id: number, why?: string): Promise<Recap> {
    return this.#seeThrough(async ({ deployer }) => {
      const retried = await deployer.retry(id, 'ann', { why });
      if (retried === null) throw new Error(`nothing of deployment ${id} is left to retry`);
      return retried;
    }, []);
  }

  /** Begins something and sees it through to its recap, over as many lives of controllers as it takes. */
  async #seeThrough(
    begin: (controller: Controller) => Promise<number>,
    interruptions: Interruption[],
  ): Promise<Recap> {
    const [first, ...later] = interruptions;
    this.interrupted = false;
    let controller = first === undefined ? await this.controller() : await this.start(first);
    const before = (await newest(controller))?.id;
    for (;;) {
      const { moments, deployer, parking } = controller;
      const deployment = await newest(controller);
      if (deployment === undefined || deployment.id === before) {
        await moments.unlessDead(() => begin(controller));
      } else if (deployment.endedAt === null) {
        await moments.unlessDead(() => deployer.takeUp());
      } else {
        const recap = await computeRecap(deployment.id, controller);
        await this.#verify(controller, recap);
        return recap;
      }
      await moments.unlessDead(() => deployer.idle());
      if (moments.dead || parking.signal.aborted) {
        this.interrupted = true;
        controller = await this.start(later.shift());
      }
    }
  }

  /** What holds at the end of every deployment, however it went. */
  async #verify({ store }: Controller, recap: Recap): Promise<void> {
    const { deployment, exit, hosts, version } = recap;
    const last = (await store.events.after(0, `deployment/${deployment}`, 10_000)).at(-1)?.event;
    const steps = await store.steps.list(deployment);
    const green = hosts.every(({ host }) => this.host(host).running === version);
    const seen = {
      faults: this.faults,
      locks: await store.locks.list(),
      running: hosts.map(({ host, running }) => (running === null ? null : this.host(host).running)),
      unfinished: steps.filter(({ state }) => state !== 'done'),
      told: last?.type === 'deployment.ended' ? last.recap.exit : last,
      excused: exit === 0 ? green : recap.failure !== null || recap.state === 'aborted',
    };
    this.#t.strictSame(
      seen,
      {
        faults: [],
        locks: [],
        running: hosts.map(({ running }) => running),
        unfinished: [],
        told: exit,
        excused: true,
      },
      'nothing unforeseen, the lock is free, the recap is what runs, and a failure has its reason',
    );
  }

  /** Hosts that are known, the versions that were built, and what runs to begin with. */
  async settleIn(shelf: ArtifactRecord[]): Promise<void> {
    const { store } = await this.start();
    for (const artifact of shelf) await store.artifacts.add(artifact);
    for (const host of this.agents.hosts.keys()) {
      await store.hosts.save({
        host,
        instance: '',
        labels: { environment: 'production', role: host < 'b' ? 'first' : 'other' },
        platform: 'linux-x64',
        agent: '0.1.0',
        bootId: '',
        freeDisk: 1e12,
        services: [],
      });
    }
    const { running = OLD } = this.#setting;
    if (running !== null) await this.deploy(running, { soak: 0 });
    await this.clock.sleep(AGENTS_BACK_MS);
    this.story();
  }

  #act(line: string): void {
    this.#story.push(line);
    const [name = '', verb] = line.split(' ');
    if (this.#setting.balancer !== false) this.#guard(name, verb);
    this.onAct(line);
  }

  /** What must never happen. */
  #guard(name: string, verb: string | undefined): void {
    const state = this.balancer.stateOf(name);
    const { running, proven } = this.host(name);
    if ((verb === 'activate' || verb === 'restart') && isVisible(state))
      this.#t.fail(`${verb} of ${name} while users reach it`);
    if (verb === 'show' && running !== null && !proven) this.#t.fail(`${name} is shown, and not proven`);
    if (verb === 'hide' && isVisible(state) && proven) {
      const left = this.balancer.visible().length - 1;
      const { min_visible } = this.#config.environments.production!.services[SERVICE]!.strategy;
      if (left < min_visible) this.#t.fail(`hiding ${name} leaves ${left} visible`);
    }
  }
}

function configOf({ strategy = {}, balancer = true, values = {}, onceOn }: Setting): FleetConfig {
  const placement = {
    hosts: { environment: 'production' },
    strategy: { settle: '1s', ...strategy },
    values,
    ...(balancer
      ? { balancer: { name: 'front', backend: SERVICE, ...(balancer !== true && balancer) } }
      : {}),
    ...(onceOn === undefined ? {} : { once_on: onceOn }),
  };
  const config = controllerConfig.parse({
    services: { [SERVICE]: { source: { git: 'nowhere' } } },
    balancers: { front: { kind: 'haproxy', address: '/nowhere' } },
    environments: { production: { services: { [SERVICE]: placement } } },
    profiles: { web: { labels: { role: 'web' } } },
  });
  return { ...config, file: 'controller.yaml' };
}

async function newest({ store }: Controller) {
  return (await store.deployments.list({ limit: 1 }))[0];
}

/** A store, every commit of which is a moment. */
function watchedStore(store: Store, moments: Moments): Store {
  return {
    ...store,
    deployments: moments.watch(store.deployments, [
      'begin',
      'plan',
      'pause',
      'resume',
      'abort',
      'fail',
      'end',
      'saveReport',
    ]),
    interruptions: moments.watch(store.interruptions, ['open', 'decide']),
    steps: moments.watch(store.steps, ['begin', 'remember', 'end', 'add', 'skipPending']),
    hidden: moments.watch(store.hidden, ['open', 'close', 'has']),
    events: moments.watch(store.events, ['append']),
  };
}
