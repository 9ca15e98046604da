/** For tests: a programs folder with one agent in it, registered like any other. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentProgram, packProgram } from '../../scripts/bundles/programs.ts';
import type { Store } from '../store/store.ts';
import { Programs, type ProgramsOptions } from './programs.ts';

export const AGENT_VERSION = '0.1.0-000000000000';

/** The folder's path. */
export async function makePrograms(dir: string): Promise<string> {
  const made = mkdtempSync(join(dir, 'programs-'));
  const [agent, folder] = [join(made, 'agent'), join(made, 'folder')];
  mkdirSync(agent);
  writeFileSync(join(agent, 'agent.js'), 'console.log("0.1.0");\n');
  const version = () => AGENT_VERSION;
  await packProgram({ ...agentProgram(agent), version }, folder);
  return folder;
}

export async function programsIn(
  dir: string,
  { store, signing }: { store: Pick<Store, 'artifacts'>; signing: ProgramsOptions['signing'] },
): Promise<Programs> {
  const folder = await makePrograms(dir);
  const work = mkdtempSync(join(dir, 'work-'));
  const log = { info() {}, warn() {} };
  const programs = new Programs({
    folder,
    store,
    signing,
    dirs: { work, artifacts: join(dir, 'artifacts') },
    log,
  });
  await programs.register();
  return programs;
}
