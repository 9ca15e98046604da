/** Hostile releases, one after the other, against agents that work beside each other. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../random/random.ts';
import { AgentProgram } from '../agentProgram.ts';
import type { Part } from '../part.ts';
import { changesBetween } from '../survey.ts';
import { knownReleases } from './known.ts';
import { mutant } from './mutate.ts';
import { type HostileRelease, tryRelease } from './trial.ts';

/** What an extractor that was given up goes on to write, it writes in this time: measured of one that did, 500 ms. */
const SETTLING_MS = 600;

/** Every archive that was made by hand. `among`: a choice of them, for a short round. */
export async function tryKnown(
  part: Part,
  agents: number,
  among: (releases: HostileRelease[]) => HostileRelease[] = (all) => all,
): Promise<void> {
  await tryAll(part, among(knownReleases()).values(), agents);
}

/** As many mutants as `count` says. Each is made from the seed and its own number, so that it can be made alone again. */
export async function tryMutants(part: Part, random: Random, count: number, agents: number): Promise<void> {
  function* mutants(): Generator<HostileRelease> {
    for (let number = 0; number < count && !part.late(); number++) yield mutant(random, `2.0.${number}`);
  }
  await tryAll(part, mutants(), agents);
}

async function tryAll(part: Part, releases: Iterator<HostileRelease>, agents: number): Promise<void> {
  await Promise.all(Array.from({ length: agents }, () => tryOnAgent(part, releases)));
}

/** Takes the next one as long as there is one. */
async function tryOnAgent(part: Part, releases: Iterator<HostileRelease>): Promise<void> {
  const agent = await AgentProgram.open();
  try {
    const before = agent.look();
    for (let next = releases.next(); !next.done; next = releases.next()) {
      const { ended, faults } = await tryRelease(agent, next.value);
      part.count(ended);
      const { version } = next.value.manifest;
      for (const fault of faults) part.fault(`${next.value.name} (${version}): ${fault}`);
    }
    await sleep(SETTLING_MS);
    for (const change of changesBetween(before, agent.look())) part.fault(`later: ${change}`);
    part.note(`an agent with ${Math.round(agent.memory() / 2 ** 20)} MiB at the end`);
  } finally {
    await agent.close();
  }
}
