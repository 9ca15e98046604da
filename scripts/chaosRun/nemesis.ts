/** Breaks things, holds them broken for a while, and mends them: one to three at a time, as its seed says. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random/random.ts';
import { whenHookBegins } from './aim.ts';
import type { Calls } from './calls.ts';
import { goneBalancer } from './faults/balancer.ts';
import { lockedDatabase } from './faults/database.ts';
import { fullDisk, fullStore } from './faults/disks.ts';
import type { Fault } from './faults/fault.ts';
import { type LinkKind, linkFault } from './faults/links.ts';
import { agentFault, controllerFault, killCall, killService, reboot } from './faults/programs.ts';
import type { FaultKind } from './record.ts';
import { now, type Recording } from './recording.ts';
import type { World } from './world.ts';

/** How often each is chosen, and for how long it lasts, in seconds. */
const FAULTS: Record<FaultKind, { weight: number; seconds: readonly [number, number] }> = {
  'controller.kill': { weight: 4, seconds: [0.1, 4] },
  'controller.stop': { weight: 2, seconds: [0.1, 4] },
  'controller.freeze': { weight: 2, seconds: [1, 25] },
  'agent.kill': { weight: 4, seconds: [0.1, 4] },
  'agent.stop': { weight: 2, seconds: [0.1, 4] },
  'agent.freeze': { weight: 2, seconds: [1, 25] },
  'host.reboot': { weight: 3, seconds: [0.5, 6] },
  'link.cut': { weight: 4, seconds: [1, 25] },
  'link.oneway': { weight: 2, seconds: [1, 25] },
  'link.reset': { weight: 2, seconds: [0.2, 5] },
  'link.loss': { weight: 2, seconds: [4, 20] },
  'link.slow': { weight: 2, seconds: [4, 20] },
  'link.flap': { weight: 2, seconds: [4, 20] },
  'disk.full': { weight: 2, seconds: [2, 12] },
  'store.full': { weight: 1, seconds: [1, 8] },
  'store.locked': { weight: 2, seconds: [0.2, 6] },
  'balancer.gone': { weight: 2, seconds: [1, 12] },
  'service.kill': { weight: 2, seconds: [0, 0] },
  'cli.kill': { weight: 2, seconds: [0, 0] },
};
const WEIGHTS = Object.fromEntries(
  Object.entries(FAULTS).map(([kind, { weight }]) => [kind, weight]),
) as Record<FaultKind, number>;
/** These hurt most in the middle of a hook: so often, they wait for one, and so long at most. */
const AIMED: ReadonlySet<FaultKind> = new Set(['agent.kill', 'agent.stop', 'host.reboot']);
const AIMS = 0.6;
const AIM_MS = 10_000;
const MOST_AT_ONCE = 3;
/** The second and third fault of a round come within this time after the first. */
const APART_MS = 4000;

export class Nemesis {
  readonly #world: World;
  readonly #calls: Calls;
  readonly #recording: Recording;
  readonly #random: Random;
  #count = 0;

  constructor(world: World, calls: Calls, recording: Recording, random: Random) {
    this.#world = world;
    this.#calls = calls;
    this.#recording = recording;
    this.#random = random;
  }

  /** Chooses what to break in a round. */
  choose(harmlessOnly: boolean): Fault[] {
    const wanted = 1 + Math.floor(this.#random.next() * MOST_AT_ONCE);
    const chosen: Fault[] = [];
    const taken = new Set<string>();
    while (chosen.length < wanted) {
      const fault = this.#make(this.#random.weighted(WEIGHTS), harmlessOnly);
      if (harmlessOnly && !fault.harmless) continue;
      if (fault.takes.some((each) => taken.has(each))) continue;
      for (const each of fault.takes) taken.add(each);
      chosen.push(fault);
    }
    return chosen;
  }

  /** Resolves when all of them are mended. */
  async round(faults: readonly Fault[]): Promise<void> {
    const begins = faults.map((_, at) => (at === 0 ? 0 : this.#random.between(0, APART_MS)));
    const lasts = faults.map(({ kind }) => this.#random.between(...FAULTS[kind].seconds) * 1000);
    await Promise.all(faults.map((fault, at) => this.#hold(fault, begins[at]!, lasts[at]!)));
  }

  async #hold(fault: Fault, afterMs: number, holdMs: number): Promise<void> {
    await sleep(afterMs);
    if (fault.host !== null && AIMED.has(fault.kind) && this.#random.chance(AIMS))
      await whenHookBegins(this.#recording.programs, fault.host, AIM_MS);
    const id = ++this.#count;
    const { kind, host, harmless } = fault;
    this.#recording.timeline({ at: now(), kind: 'fault.begin', id, fault: kind, host, harmless });
    try {
      await fault.begin();
      await sleep(holdMs);
    } finally {
      await fault.end();
      this.#recording.timeline({ at: now(), kind: 'fault.end', id });
    }
  }

  #make(kind: FaultKind, harmlessOnly: boolean): Fault {
    const world = this.#world;
    const random = this.#random;
    const host = random.pick(world.hosts);
    switch (kind) {
      case 'controller.kill':
      case 'controller.stop':
      case 'controller.freeze':
        return controllerFault(wayOf(kind), world);
      case 'agent.kill':
      case 'agent.stop':
      case 'agent.freeze':
        return agentFault(wayOf(kind), host);
      case 'host.reboot':
        return reboot(world, host);
      case 'service.kill':
        return killService(world, host);
      case 'disk.full':
        return fullDisk(host);
      case 'store.full':
        return fullStore(world);
      case 'store.locked':
        return lockedDatabase(world);
      case 'balancer.gone':
        return goneBalancer(world, random);
      case 'cli.kill':
        return killCall(this.#calls, random);
      default:
        return this.#link(kind, harmlessOnly);
    }
  }

  #link(kind: LinkKind, harmlessOnly: boolean): Fault {
    const random = this.#random;
    const host = random.chance(0.15) ? null : random.pick(this.#world.hosts);
    return linkFault(kind, this.#world, host, harmlessOnly || random.chance(0.5), random);
  }
}

function wayOf(kind: `${'controller' | 'agent'}.${'kill' | 'stop' | 'freeze'}`): 'kill' | 'stop' | 'freeze' {
  return kind.split('.')[1] as 'kill' | 'stop' | 'freeze';
}
