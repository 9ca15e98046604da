/** The nemesis: what goes wrong during a deployment, drawn from the seed. */
import type { BalancerTrouble } from './balancer.ts';
import type { SimulatedHost } from './host.ts';
import type { MessageTrouble } from './network.ts';
import { SERVICES, VERSIONS } from './shelf.ts';
import type { World } from './world.ts';

type Fault = (world: World) => void;

const MESSAGES: readonly MessageTrouble[] = [
  'request lost',
  'answer lost',
  'answer lost in silence',
  'late',
  'connection flaps',
];
const BALANCER: readonly BalancerTrouble[] = [
  'lies',
  'refuses',
  'slow',
  'does not answer',
  'acts and does not answer',
];

/** Every kind of fault, as a story counts it. */
export const KINDS: readonly string[] = [
  ...['controller killed', 'controller stopped', 'database full', 'database busy'],
  'message from a dead controller',
  ...['agent killed', 'power cut', 'disk full', 'disk error', 'host cut off'],
  ...['transfer cut', 'chunk damaged', ...MESSAGES],
  ...['balancer away', 'balancer reloaded', 'hidden by hand', ...BALANCER.map((kind) => `balancer ${kind}`)],
  ...['service crashed', 'service unwell', 'service does not start', 'service does not stop', 'hook fails'],
];

function aHost({ hosts, random }: World): SimulatedHost {
  return random.pick([...hosts.values()]);
}

/** Short mostly, and now and then longer than anybody waits. */
function outage({ random }: World): number {
  return random.chance(0.8) ? random.between(50, 8000) : random.between(20_000, 120_000);
}

const FAULTS: ReadonlyArray<[weight: number, fault: Fault]> = [
  [
    6,
    (world) => {
      const { life } = world.controller ?? {};
      life?.endAt(1 + world.random.below(300), () => {
        world.story.fault('controller killed');
        world.controllers.kill(outage(world));
      });
    },
  ],
  [
    1,
    (world) => {
      if (world.controller === undefined) return;
      world.story.fault('controller stopped');
      void world.controllers.park(outage(world));
    },
  ],
  [
    6,
    (world) => {
      const host = aHost(world);
      host.life?.endAt(1 + world.random.below(250), () => {
        world.story.fault('agent killed', host.name);
        host.killAgent(outage(world));
      });
    },
  ],
  [
    5,
    (world) => {
      const host = aHost(world);
      host.life?.endAt(1 + world.random.below(250), () => cutPower(world, host));
    },
  ],
  [1, (world) => cutPower(world, aHost(world))],
  [
    8,
    (world) => {
      const { name } = aHost(world);
      const waiting = world.troubles.get(name) ?? [];
      waiting.push({ after: world.random.below(12), what: world.random.pick(MESSAGES) });
      world.troubles.set(name, waiting);
    },
  ],
  [
    2,
    (world) => {
      const { name } = aHost(world);
      if (world.controller?.network.cut(name) !== true) return;
      world.story.fault('host cut off', name);
      world.cutUntil.set(name, world.clock.now() + outage(world));
    },
  ],
  [
    4,
    ({ balancers, random }) => {
      for (const balancer of balancers.values())
        for (let times = random.pick([1, 1, 2, 5]); times > 0; times--)
          balancer.troubles.push(random.pick(BALANCER));
    },
  ],
  [
    1,
    (world) => {
      for (const balancer of world.balancers.values()) {
        world.story.fault('balancer away');
        balancer.awayUntil = world.clock.now() + outage(world);
      }
    },
  ],
  [1, reloadBalancer],
  [1, hideByHand],
  [
    2,
    (world) => {
      const host = aHost(world);
      if (!host.programs.crash(world.random.pick(SERVICES))) return;
      world.story.fault('service crashed', host.name);
      world.invariants.users.harmed(host.name);
    },
  ],
  [
    5,
    (world) => {
      const host = aHost(world);
      const subject = `${world.random.pick(SERVICES)} ${world.random.pick(VERSIONS)}`;
      host.programs.sick.set(
        subject,
        world.random.pick(['does not start', 'fails its checks', 'does not stay well']),
      );
      world.invariants.users.harmed(host.name);
      world.story.tell(`${subject} is sick on ${host.name}`);
    },
  ],
  [
    2,
    (world) => {
      const { illness } = aHost(world);
      illness.full = true;
      world.clock.after(world.random.between(100, 20_000), () => {
        illness.full = false;
      });
    },
  ],
  [
    2,
    (world) => {
      aHost(world).illness.failsIn = 1 + world.random.below(200);
    },
  ],
  [
    2,
    (world) => {
      const { programs } = aHost(world);
      if (world.random.chance(0.7)) programs.failingHooks++;
      else programs.failingStops++;
    },
  ],
  [
    2,
    ({ database, random }) => {
      database.fails = random.pick([1, 1, 3, 10]);
      database.full = random.chance(0.5);
    },
  ],
];
const WEIGHTS = FAULTS.reduce((sum, [weight]) => sum + weight, 0);

function cutPower(world: World, host: SimulatedHost): void {
  world.story.fault('power cut', host.name);
  world.invariants.users.harmed(host.name);
  host.cutPower(outage(world));
  for (const service of SERVICES) world.invariants.disks.checkCurrent(host, service);
}

/** It forgets what it was told, and shows everybody. */
function reloadBalancer(world: World): void {
  for (const [service, balancer] of world.balancers) {
    world.story.fault('balancer reloaded');
    for (const [name, { admin }] of balancer.told) {
      if (admin === 'ready') continue;
      balancer.tell(name, 'ready');
      world.invariants.users.shownByOthers(service, name);
    }
  }
}

/** Somebody takes a host out, by hand and for a while, that fleet has not hidden. */
function hideByHand(world: World): void {
  const host = aHost(world);
  for (const balancer of world.balancers.values()) {
    if (balancer.told.get(host.name)!.admin !== 'ready' || world.unfinished.size > 0) continue;
    world.story.fault('hidden by hand', host.name);
    balancer.tell(host.name, 'maint');
    world.invariants.users.harmed(host.name);
  }
}

/** One thing that goes wrong, now or at one of the next acts of whom it harms. */
export function harm(world: World): void {
  let at = world.random.below(WEIGHTS);
  for (const [weight, fault] of FAULTS) {
    at -= weight;
    if (at >= 0) continue;
    fault(world);
    return;
  }
}

/** Nothing goes wrong any more, and whoever was down comes back. */
export async function heal(world: World): Promise<void> {
  world.troubles.clear();
  world.cutUntil.clear();
  world.database.fails = 0;
  for (const [service, balancer] of world.balancers) {
    balancer.troubles.length = 0;
    balancer.awayUntil = 0;
    for (const [name, { admin, by }] of balancer.told) {
      if (admin === 'ready' || by !== 'somebody else') continue;
      balancer.tell(name, 'ready');
      world.invariants.users.shownByOthers(service, name);
    }
  }
  for (const host of world.hosts.values()) {
    host.life?.endAt(Number.POSITIVE_INFINITY, () => {});
    host.illness.full = false;
    host.illness.failsIn = 0;
    host.programs.sick.clear();
    host.programs.failingHooks = 0;
    host.programs.failingStops = 0;
  }
  await world.until(() => world.controller !== undefined, 'the controller');
  world.controller?.life.endAt(Number.POSITIVE_INFINITY, () => {});
  await world.until(() => world.allConnected(), 'every host');
}
