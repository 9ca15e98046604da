/** Which version runs, by what was started and not by what is on the disk. */
import { lives } from '@fleet/process/proc.ts';
import { wanted } from './spec.ts';
import { readState } from './state.ts';

/** Undefined where nothing does. A program that crashes and is started again counts as running here. */
export async function running(home: string): Promise<string | undefined> {
  const spec = await wanted(home);
  if (spec?.run.supervisor !== 'process') return spec?.version;
  const state = await readState(home);
  return state && lives(state.shim) ? state.version : undefined;
}
