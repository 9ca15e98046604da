/**
 * A controller is stopped at every moment of a deployment, or dies at any, and the next one goes on on the same database.
 * Whatever the moment, the end is the one that an undisturbed deployment has, and every command was carried out once.
 */
import type { Recap } from '@fleet/protocol/api/recap.ts';
import t, { type Test } from 'tap';
import { type Fleet, fleets, NEW, OLD, type Setting } from './fleet.fixture.ts';
import type { Interruption } from './moments.fixture.ts';

t.setTimeout(600_000);
const makeFleet = await fleets(t);

/** The same numbers for the same seed. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What happened after staging. A smoke test may be asked for again, and the balancer told to show; nothing else is done twice. */
function essence(story: string[]): string[] {
  const lines = story.filter((line) => !line.includes(' stage '));
  return lines.filter((line, index) => line !== lines[index - 1] || !/ (smoke|show)\b/.test(line));
}

for (const [how, every] of [
  ['park', 1],
  ['crash', 3],
] as const) {
  t.test(`${how} at moments of a deployment, from the first to the last`, async (t) => {
    const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { settle: '400ms' } });
    let [from, to] = [NEW, OLD];
    for (let at = 1; ; at += every) {
      [from, to] = [to, from];
      for (const host of ['a', 'b']) fleet.host(host).staged.delete(to);
      const recap = await fleet.deploy(to, {}, [{ at, how }]);
      const story = essence(fleet.story());
      const well = { ok: 8, changed: 2, running: to };
      t.match(recap, { exit: 0, hosts: [well, well] }, `${how} at ${at}, from ${from}`);
      t.strictSame(
        story,
        ['a', 'b'].flatMap((host) => [
          `${host} hide`,
          `${host} out`,
          `${host} activate ${to}`,
          `${host} restart ${to}`,
          `${host} smoke ${to} passes`,
          `${host} show`,
        ]),
        'in order, and everything once',
      );
      t.strictSame(fleet.balancer.visible(), ['a', 'b']);
      t.strictSame(
        recap.hosts.flatMap(({ notes }) => notes),
        [],
      );
      if (!fleet.interrupted) {
        t.ok(at > 150, `it has ${at} moments`);
        break;
      }
    }
  });
}

t.test('parked while a host is at work: the host goes on, and answers the next controller', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'] });
  let acts = 0;
  let parkAt = 0;
  fleet.onAct = () => {
    if (++acts === parkAt) fleet.park();
  };
  await fleet.deploy(NEW);
  const undisturbed = essence(fleet.story());
  const all = acts;
  for (parkAt = 1; parkAt <= all; parkAt++) {
    await fleet.deploy(OLD);
    fleet.story();
    for (const host of ['a', 'b']) fleet.host(host).staged.delete(NEW);
    acts = 0;
    t.equal((await fleet.deploy(NEW)).exit, 0, `parked in act ${parkAt} of ${all}`);
    t.strictSame(essence(fleet.story()), undisturbed);
    t.equal(fleet.interrupted, true);
  }
});

t.test('crash at every moment of a way back', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a'], strategy: { settle: '400ms', min_visible: 0 } });
  fleet.agents.sicken('a', NEW, 'settle');
  const { durationMs: _, deployment: __, ...undisturbed } = await fleet.deploy(NEW);
  const commands = fleet.storyOf('activate', 'restart');
  t.match(undisturbed, { state: 'restored', exit: 5, failure: { step: 'settle' } });
  t.equal(commands.length, 4);
  // What comes before the failure is what comes in a deployment that goes well.
  for (let at = 75; ; at++) {
    const recap = await fleet.deploy(NEW, {}, [{ at, how: 'crash' }]);
    t.match(recap, undisturbed, `crash at ${at}`);
    t.strictSame(fleet.storyOf('activate', 'restart'), commands);
    t.strictSame(fleet.balancer.visible(), ['a']);
    if (!fleet.interrupted) break;
  }
});

t.test('agents need a while to come back to the next controller', async (t) => {
  const fleet = await makeFleet(t, { hosts: ['a', 'b'], strategy: { settle: '400ms' } });
  const start = fleet.start.bind(fleet);
  fleet.start = (interruption) => {
    for (const host of ['a', 'b']) fleet.agents.disconnect(host, 3000);
    return start(interruption);
  };
  let [from, to] = [NEW, OLD];
  for (let at = 1; ; at += 8) {
    [from, to] = [to, from];
    const well = { unreachable: 0, running: to };
    t.match(
      await fleet.deploy(to, {}, [{ at, how: 'crash' }]),
      { exit: 0, hosts: [well, well] },
      `crash at ${at}`,
    );
    if (!fleet.interrupted) break;
  }
});

interface Scenario {
  name: string;
  setting?: Setting;
  trouble?(fleet: Fleet): void;
}
const SCENARIOS: Scenario[] = [
  { name: 'all well' },
  { name: 'two at a time', setting: { hosts: ['a', 'b', 'c', 'd'], strategy: { batch: ['2'] } } },
  {
    name: 'without a balancer',
    setting: { balancer: false },
    trouble: ({ agents }) => agents.sicken('b', NEW),
  },
  { name: 'a smoke test fails', trouble: ({ agents }) => agents.sicken('b', NEW) },
  { name: 'it does not stay well', trouble: ({ agents }) => agents.sicken('b', NEW, 'settle') },
  {
    name: 'all go back',
    setting: { strategy: { on_failure: 'rollback_all' } },
    trouble: ({ agents }) => agents.sicken('c', NEW),
  },
  {
    name: 'neither version comes up',
    trouble({ agents }) {
      agents.sicken('b', NEW);
      agents.sicken('b', OLD);
    },
  },
  {
    name: 'a host is lost for a while',
    trouble: ({ agents }) =>
      agents.trouble('b', 'step.restart', { kind: 'cut', when: 'after', backAfterMs: 4000 }, { times: 1 }),
  },
  {
    name: 'a host is lost',
    trouble: ({ agents }) => agents.trouble('b', 'release.activate', { kind: 'cut', when: 'after' }),
  },
];

interface End {
  recap: Recap;
  running: Record<string, string | null>;
  visible: string[];
  /** Activations and restarts, sorted where hosts go together. */
  commands: string[];
}

async function play(t: Test, { setting, trouble }: Scenario, interruptions: Interruption[]): Promise<End> {
  const fleet = await makeFleet(t, { strategy: { settle: '400ms' }, ...setting });
  trouble?.(fleet);
  const recap = await fleet.deploy(NEW, {}, interruptions);
  return {
    recap: { ...recap, durationMs: 0 },
    running: fleet.running(),
    visible: fleet.balancer.visible(),
    commands: fleet.storyOf('activate', 'restart').sort(),
  };
}

t.test('death at any moment, and again', async (t) => {
  const undisturbed = new Map<Scenario, End>();
  for (const scenario of SCENARIOS) undisturbed.set(scenario, await play(t, scenario, []));

  const random = numbersFrom(20_261_121);
  for (let round = 1; round <= 100; round++) {
    const scenario = SCENARIOS[random(SCENARIOS.length)]!;
    const interruptions = Array.from(
      { length: 1 + random(3) },
      (_, life): Interruption => ({
        at: 1 + random(life === 0 ? 250 : 60),
        how: random(4) === 0 ? 'park' : 'crash',
      }),
    );
    const told = interruptions.map(({ at, how }) => `${how} at ${at}`).join(', ');
    const end = await play(t, scenario, interruptions);
    t.strictSame(end, undisturbed.get(scenario), `round ${round}, ${scenario.name}: ${told}`);
  }
});
