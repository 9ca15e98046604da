/** Frames and requests by the thousand, while another host goes on as if nothing were. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FLEET, type Program, startProgram } from '../../local/program.ts';
import type { Random } from '../../random/random.ts';
import { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';
import { changesBetween, survey } from '../survey.ts';
import { EvilController } from './toAgent.ts';
import { requestsToApi } from './toApi.ts';
import { framesToController } from './toController.ts';

/** Looks in between: how the fleet is, and how much memory its controller has. */
const LOOKS = 10;
/** Memory at the end, of what it was after the first tenth. */
const MOST_GROWTH = 2;
const MIB = 2 ** 20;

export async function fuzzController(part: Part, random: Random, count: number): Promise<void> {
  const program = await FleetProgram.open();
  try {
    // A first of each, so that what is made once is there.
    await requestsToApi(part, program, random, 1);
    const before = program.state();
    let memory = 0;
    for (let look = 0; look < LOOKS && !part.late(); look++) {
      await framesToController(part, program, random, (count * 0.6) / LOOKS);
      await requestsToApi(part, program, random, (count * 0.4) / LOOKS);
      const complaint = await program.complaint();
      if (complaint !== undefined) part.fault(complaint);
      if (look === 0) memory = program.memory();
    }
    for (const change of program.changesSince(before)) part.fault(change);
    const now = program.memory();
    part.note(
      `the controller has ${Math.round(now / MIB)} MiB, and had ${Math.round(memory / MIB)} MiB after the first tenth`,
    );
    if (now > memory * MOST_GROWTH) part.fault('its memory has grown');
  } finally {
    await program.close();
  }
}

export async function fuzzAgent(part: Part, random: Random, count: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-hostile-'));
  const evil = new EvilController();
  let agent: Program | undefined;
  try {
    const url = await evil.open();
    const root = join(dir, 'world/root');
    const argv = [
      process.execPath,
      FLEET,
      'agent',
      '--host',
      'web-1',
      '--controller',
      url,
      '--root',
      root,
      '--data',
      join(dir, 'data'),
    ];
    agent = startProgram(argv, { cwd: dir, log: join(dir, 'agent.log'), env: { FLEET_LOG: 'error' } });
    (await evil.next()).terminate();
    // A service that somebody offers a release for has a folder with nothing in it.
    const look = () => survey(join(dir, 'world'), (path) => /^root\/[a-z0-9][a-z0-9._-]*$/.test(path));
    const before = look();
    await evil.attack(part, random, count);
    if (!agent.running()) part.fault('the agent has ended');
    for (const change of changesBetween(before, look())) part.fault(change);
    (await evil.next()).terminate();
  } finally {
    await agent?.stop('SIGKILL');
    await evil.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
