/** The story of one fleet: deployments, rollbacks and retries, one after the other and at once, while things go wrong. */
import { SimulatedClock } from './clock.ts';
import { harm, heal } from './faults.ts';
import { FIRST, SERVICES, type Shelf, VERSIONS } from './shelf.ts';
import { Story, type Violation } from './story.ts';
import { World } from './world.ts';

export interface Played {
  seed: number;
  deployments: number;
  /** How they ended, by state and exit status. */
  endings: Map<string, number>;
  faults: Map<string, number>;
  simulatedMs: number;
  digest: string;
  violation: Violation | undefined;
  last: string[];
}

/** Some 25 deployments. Never rejects for what the product does: that is a violation. */
export async function play(
  seed: number,
  shelf: Shelf,
  options: { deployments: number; onLine?: (line: string) => void },
): Promise<Played> {
  const clock = new SimulatedClock();
  const story = new Story(clock, options.onLine);
  const world = new World(seed, clock, story, shelf);
  try {
    await clock.passUntil(live(world, options.deployments));
  } catch (error) {
    story.violated('unforeseen', error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await world.close();
  }
  const endings = new Map<string, number>();
  for (const { state, exit } of world.recaps) {
    const ending = `${state} (${exit})`;
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  return {
    seed,
    deployments: world.recaps.length,
    endings,
    faults: story.faults,
    simulatedMs: clock.now(),
    digest: story.digest(),
    violation: story.violation,
    last: story.last(40),
  };
}

async function live(world: World, deployments: number): Promise<void> {
  const { random, story } = world;
  await world.begin();
  const harsh = random.pick([0, 1, 2, 4]);
  while (world.recaps.length < deployments && story.violation === undefined) {
    for (let faults = random.below(harsh + 1); faults > 0; faults--) strike(world);
    await operate(world);
    await world.clock.sleep(random.between(0, 3000));
    if (random.chance(0.3)) await intervene(world);
    if (random.chance(0.8)) await settled(world);
    if (random.chance(0.12)) await quiet(world);
  }
  await quiet(world);
  if (story.violation !== undefined) return;
  await mend(world);
}

/** Now, or a while from now. */
function strike(world: World): void {
  const { random, clock } = world;
  if (random.chance(0.5)) harm(world);
  else clock.after(random.between(0, 6000), () => harm(world));
}

async function operate(world: World): Promise<void> {
  const { random } = world;
  const service = random.pick([SERVICES[0], SERVICES[0], SERVICES[1]]);
  const version = random.pick(VERSIONS);
  const names = [...world.hosts.keys()];
  const hosts = random.chance(0.2) ? [random.pick(names)] : undefined;
  const request = { service, skipChecks: [], ...(hosts && { hosts }) };
  const kind = random.below(10);
  if (kind < 6)
    await world.ask(`deploy ${service} ${version} ${hosts ?? ''}`, (deployer) =>
      deployer.start({ ...request, version }, 'ann'),
    );
  else if (kind < 8) await world.ask(`rollback ${service}`, (deployer) => deployer.rollback(request, 'bob'));
  else {
    const last = world.recaps.at(-1)?.deployment ?? 1;
    const retry = await world.ask(`retry ${last}`, (deployer) => deployer.retry(last, 'ann'));
    if (typeof retry === 'number') world.invariants.told.retried(last, retry);
  }
}

/** A person who changes their mind. */
async function intervene(world: World): Promise<void> {
  const [id] = world.unfinished;
  if (id === undefined) return;
  const { random, clock } = world;
  if (random.chance(0.5)) {
    await world.ask(`pause ${id}`, (deployer) => deployer.pause(id, 'bob', undefined));
    await clock.sleep(random.between(100, 60_000));
    if (random.chance(0.7)) {
      await world.ask(`resume ${id}`, (deployer) => deployer.resume(id, 'bob', undefined));
      return;
    }
  }
  await world.ask(`abort ${id}`, (deployer) => deployer.abort(id, 'bob', undefined));
}

/** Every deployment has ended. What was paused, and its resumption lost, is resumed. */
async function settled(world: World): Promise<void> {
  const { clock, random, story } = world;
  for (let rounds = 0; world.unfinished.size > 0 && story.violation === undefined; rounds++) {
    if (rounds > 200) {
      story.violated('I18', `deployments ${[...world.unfinished].join(', ')} do not come to an end`);
      return;
    }
    await clock.sleep(random.between(1000, 60_000));
    const { controller } = world;
    if (controller === undefined) continue;
    for (const id of [...world.unfinished]) {
      const { state } = await controller.store.deployments.get(id);
      if (state === 'paused')
        await world.ask(`resume ${id}`, (deployer) => deployer.resume(id, 'bob', undefined));
      if (state === 'waiting') await decide(world, id);
    }
  }
}

/** What a person says about a hook that was interrupted and must not run twice by itself. */
async function decide(world: World, id: number): Promise<void> {
  const kind = world.random.below(3);
  if (kind === 0) await world.ask(`abort ${id}`, (deployer) => deployer.abort(id, 'bob', undefined));
  else if (kind === 1) await world.ask(`skip for ${id}`, (deployer) => deployer.skip(id, 'bob'));
  else {
    world.invariants.order.mayRunAgain(id);
    await world.ask(`again for ${id}`, (deployer) => deployer.retry(id, 'bob'));
  }
}

/** Nothing goes wrong any more, everything has come to its end, and agents have started anew. */
async function quiet(world: World): Promise<void> {
  const { clock, story } = world;
  await heal(world);
  await settled(world);
  for (const host of world.hosts.values()) host.killAgent(10);
  // What was to go wrong in a while has by then.
  await clock.sleep(10_000);
  await heal(world);
  await clock.sleep(60_000);
  if (story.violation !== undefined) return;
  world.invariants.checkQuiet(await hiddenByFleet(world));
  story.tell('quiet');
}

async function hiddenByFleet(world: World): Promise<Set<string>> {
  const records = (await world.controller?.store.hidden.list()) ?? [];
  return new Set(records.map(({ host, service }) => `${host} ${service}`));
}

/** After everything, a new deployment succeeds, whatever was left hidden. */
async function mend(world: World): Promise<void> {
  const { story } = world;
  for (const service of SERVICES) {
    if (story.violation !== undefined) return;
    const request = { service, version: FIRST, skipChecks: [] };
    const id = await world.ask(`mend ${service} ${FIRST}`, (deployer) => deployer.start(request, 'ann'));
    await world.end();
    const recap = world.recaps.find(({ deployment }) => deployment === id);
    if (story.violation === undefined && recap?.exit !== 0)
      story.violated('I18', `deployment ${id} of ${service} ${FIRST} fails although all is well`);
  }
}
