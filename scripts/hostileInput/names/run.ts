/** Bad names at every place where a name comes in. */
import { existsSync } from 'node:fs';
import { AgentProgram } from '../agentProgram.ts';
import { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';
import { badNames, MARKER } from './badNames.ts';
import { badNamesInConfiguration, badNamesInReleases, badNamesToGit } from './inFiles.ts';
import { badNamesOnCommandLine } from './onCommandLine.ts';
import { badNamesInHello, badNamesToAgents } from './onMessages.ts';
import { badNamesOnRoutes } from './onRoutes.ts';

/** Takes every name, or each `every`th, at a place of its own each time so that all of them come somewhere. */
function choose(every: number, from: number): string[] {
  return badNames().filter((_, number) => number % every === from % every);
}

export type Places = Record<string, (part: Part, every: number) => Promise<void>>;

async function toFleet(part: Part, every: number): Promise<void> {
  const program = await FleetProgram.open();
  try {
    await badNamesOnRoutes(part, program, choose(every, 0));
    await badNamesInHello(part, program, choose(every, 1));
    await badNamesOnCommandLine(part, program, choose(every, 2));
    const complaint = await program.complaint();
    if (complaint !== undefined) part.fault(complaint);
  } finally {
    await program.close();
  }
  checkMarker(part);
}

async function toAgent(part: Part, every: number): Promise<void> {
  const agent = await AgentProgram.open();
  try {
    await badNamesToAgents(part, agent, choose(every, 3));
    const complaint = await agent.complaint();
    if (complaint !== undefined) part.fault(complaint);
  } finally {
    await agent.close();
  }
  checkMarker(part);
}

const alone =
  (attack: (part: Part, names: string[]) => Promise<void>, from: number) =>
  async (part: Part, every: number): Promise<void> => {
    await attack(part, choose(every, from));
    checkMarker(part);
  };

function checkMarker(part: Part): void {
  if (existsSync(MARKER)) part.fault(`${MARKER} is there: a name was run as a command`);
}

export const PLACES: Places = {
  'names on routes, in hello and on the command line': toFleet,
  'names to agents': toAgent,
  'names in configuration': alone(badNamesInConfiguration, 4),
  'names to git': alone(badNamesToGit, 5),
  'names in releases': alone(badNamesInReleases, 6),
};
