/** A balancer before the hosts of one service. It finds a server up a moment after the service is, and can be made to lie. */
import { type AdminState, type Balancer, isVisible, type ServerState } from '@fleet/balancers/balancer.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Random } from '../random/random.ts';
import type { SimulatedClock } from './clock.ts';
import type { Programs } from './service.ts';

interface Server {
  admin: AdminState;
  /** Who told it last. */
  by: 'fleet' | 'somebody else';
  /** Until when sessions are open to it, once it is hidden. */
  busyUntil: number;
}

export type BalancerTrouble = 'lies' | 'refuses' | 'slow' | 'does not answer' | 'acts and does not answer';

export class SimulatedBalancer implements Balancer {
  readonly backend: string;
  readonly told = new Map<string, Server>();
  /** What happens to the next calls, in order. */
  readonly troubles: BalancerTrouble[] = [];
  awayUntil = 0;
  readonly #programs: ReadonlyMap<string, Programs>;
  readonly #clock: SimulatedClock;
  readonly #random: Random;
  readonly #onSet: (server: string, admin: AdminState, before: ServerState) => void;
  readonly #onTrouble: (kind: BalancerTrouble) => void;
  #line: Promise<void> = Promise.resolve();

  constructor(parts: {
    backend: string;
    programs: ReadonlyMap<string, Programs>;
    clock: SimulatedClock;
    random: Random;
    /** Called when what fleet told it takes effect. */
    onSet(server: string, admin: AdminState, before: ServerState): void;
    onTrouble(kind: BalancerTrouble): void;
  }) {
    this.backend = parts.backend;
    this.#programs = parts.programs;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#onSet = parts.onSet;
    this.#onTrouble = parts.onTrouble;
    for (const name of parts.programs.keys())
      this.told.set(name, { admin: 'ready', by: 'fleet', busyUntil: 0 });
  }

  /** Its servers are always the same. */
  async add(): Promise<void> {}
  async remove(): Promise<void> {}

  stateOf(name: string): ServerState {
    const { admin, busyUntil } = this.told.get(name)!;
    const up = this.#programs.get(name)!.isUp(this.backend);
    const sessions = admin === 'ready' ? Number(up) : Number(busyUntil > this.#clock.now());
    return { name, admin, up, sessions: admin === 'maint' ? 0 : sessions };
  }

  visible(): string[] {
    return [...this.told.keys()].filter((name) => isVisible(this.stateOf(name)));
  }

  /** Somebody else tells it, or it forgets at a reload. */
  tell(name: string, admin: AdminState): void {
    Object.assign(this.told.get(name)!, { admin, by: 'somebody else' });
  }

  async servers(backend: string): Promise<ServerState[]> {
    await this.#clock.sleep(this.#random.between(0.5, 4));
    this.#knows(backend);
    return [...this.told.keys()].map((name) => this.stateOf(name));
  }

  async set(backend: string, name: string, admin: AdminState): Promise<void> {
    await this.#clock.sleep(this.#random.between(0.5, 4));
    this.#knows(backend);
    const trouble = this.troubles.shift();
    if (trouble !== undefined) this.#onTrouble(trouble);
    if (trouble === 'refuses') throw new FleetError('balancer_refused', `${name} is not set: it says no`);
    if (trouble === 'does not answer') throw unreachable();
    const slow = trouble === 'slow' ? this.#random.between(50, 4000) : 0;
    // It does, and answers, in the order in which it was told: also a lie comes after what was told before.
    this.#line = this.#line.then(async () => {
      if (slow > 0) await this.#clock.sleep(slow);
      if (trouble !== 'lies') this.#apply(name, admin);
    });
    if (slow === 0) await this.#line;
    if (trouble === 'acts and does not answer') throw unreachable();
  }

  async close(): Promise<void> {}

  #apply(name: string, admin: AdminState): void {
    const before = this.stateOf(name);
    this.#onSet(name, admin, before);
    const busyUntil =
      before.admin === 'ready' && before.up ? this.#clock.now() + this.#random.between(0, 2500) : undefined;
    Object.assign(this.told.get(name)!, { admin, by: 'fleet', ...(busyUntil && { busyUntil }) });
  }

  #knows(backend: string): void {
    if (this.awayUntil > this.#clock.now()) throw unreachable();
    if (backend !== this.backend) throw new FleetError('balancer_unknown', `there is no backend ${backend}`);
  }
}

function unreachable(): FleetError {
  return new FleetError('balancer_unreachable', 'the balancer does not answer');
}
