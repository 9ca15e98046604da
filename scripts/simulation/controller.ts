/** One life of a controller: the production deployer and store, on a network and a disk that are simulated. */
import type { Balancer } from '@fleet/balancers/balancer.ts';
import type { FleetConfig } from '@fleet/controller/config/config.ts';
import type { Deps } from '@fleet/controller/deploy/context.ts';
import { Deployer } from '@fleet/controller/deploy/deployer.ts';
import { closeRecordsOfShown } from '@fleet/controller/deploy/shownAgain.ts';
import { Turns } from '@fleet/controller/deploy/turns.ts';
import { Secrets } from '@fleet/controller/secrets/secrets.ts';
import { createStore, type Store } from '@fleet/controller/store/store.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { SimulatedClock } from './clock.ts';
import { Life } from './life.ts';
import type { Network } from './network.ts';

/** As long as a controller that has just started waits for agents. */
const AGENTS_BACK_MS = 6000;
/** What writes, by the names that the parts of the store give it. */
const WRITES =
  /^(begin|plan|pause|resume|abort|fail|end|saveReport|remember|add|skipPending|open|close|append|save|decide)$/;

export interface ControllerParts {
  config: FleetConfig;
  file: string;
  clock: SimulatedClock;
  files: ReadonlyMap<string, Buffer>;
  balancer(name: string): Balancer;
  /** The network as this life has it. */
  network(life: Life): Network;
  /** Called before each write; what it throws fails the write. */
  beforeWrite(): void;
  onFault(message: string): void;
}

export interface Controller {
  life: Life;
  store: Store;
  network: Network;
  deployer: Deployer;
  /** What a controller does once it has taken up what was unfinished. */
  keepRecords(): void;
  parking: AbortController;
}

export async function startController(parts: ControllerParts): Promise<Controller> {
  const { clock, config, files } = parts;
  const life = new Life();
  const parking = new AbortController();
  const known = new KnownSecrets();
  const opened = await createStore(parts.file, undefined, known);
  const store = watchedStore(opened, life, parts.beforeWrite);
  const network = parts.network(life);
  const deps: Deps = {
    config,
    store,
    agents: life.watch(network, (name) => !/^(isConnected|policyOf)$/.test(name)),
    balancer: (name) => life.watch(parts.balancer(name)),
    clock: life.watch(clock, (name) => name === 'sleep'),
    disk: {
      readFile: (path) => life.act(() => files.get(path)!),
      mkdir: () => life.act(() => {}),
      writeFile: () => life.act(() => {}),
    },
    turns: new Turns(),
    secrets: new Secrets(config.secrets, known, opened.fingerprintKey),
    log: {
      info() {},
      warn() {},
      error: (data, message) => {
        if (!life.over) parts.onFault(`${message}: ${'err' in data ? String(data.err) : ''}`);
      },
    },
    signing: null,
    outputs: '/outputs',
    settledAt: clock.now() + AGENTS_BACK_MS,
    parking: parking.signal,
  };
  const dirs = { git: '/git', work: '/work', artifacts: '/artifacts', logs: '/logs' };
  const deployer = new Deployer(deps, { ...deps, dirs });
  return {
    life,
    store: opened,
    network,
    deployer,
    keepRecords: () => void closeRecordsOfShown(deps),
    parking,
  };
}

/** Every call is an act of this life, and any write may fail. */
function watchedStore(store: Store, life: Life, beforeWrite: () => void): Store {
  const watch = <T extends object>(part: T): T => {
    const failing = new Proxy(part, {
      get: (_, name) => {
        const member: unknown = Reflect.get(part, name);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          if (WRITES.test(String(name))) beforeWrite();
          return Reflect.apply(member, part, args);
        };
      },
    });
    return life.watch(failing, (name) => !/^(tell|follow|until)$/.test(name));
  };
  return {
    ...store,
    get epoch() {
      return store.epoch;
    },
    artifacts: watch(store.artifacts),
    builds: watch(store.builds),
    deployments: watch(store.deployments),
    events: watch(store.events),
    hidden: watch(store.hidden),
    hosts: watch(store.hosts),
    interruptions: watch(store.interruptions),
    locks: watch(store.locks),
    rollbackPoints: watch(store.rollbackPoints),
    steps: watch(store.steps),
  };
}

export function databaseFault(full: boolean): FleetError {
  return full
    ? new FleetError('database_full', 'no room left on the disk for the database')
    : new FleetError('database_busy', 'another process holds the database');
}
