/** state.json: how the shim of a service stands, in its own words. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessIdentity } from '@fleet/process/proc.ts';
import { ifThere } from '../disk/durable.ts';

export interface ShimState {
  /** What it was started from. */
  version: string;
  shim: ProcessIdentity;
  /** Also the number of its process group. Null while there is none. */
  program: ProcessIdentity | null;
  /** `failed` lasts from a crash until the program has been up for a while again. */
  state: 'starting' | 'running' | 'failed' | 'stopping' | 'stopped';
  /** Since when the program is up. */
  since: string;
  restarts: number;
  last: (ProgramEnd & { at: string }) | null;
}

export interface ProgramEnd {
  code: number | null;
  signal: string | null;
  /** Why it could not be started at all. */
  problem?: string;
}

/** What the shim says once, about the first start. */
export type Report = { up: true } | ({ up: false } & ProgramEnd);

/** Undefined where no shim ever was, or where a power cut left half of what it wrote: then it does not run either. */
export async function readState(home: string): Promise<ShimState | undefined> {
  const text = await ifThere(readFile(join(home, 'state.json'), 'utf8'));
  try {
    return text === undefined ? undefined : (JSON.parse(text) as ShimState);
  } catch {
    return undefined;
  }
}
