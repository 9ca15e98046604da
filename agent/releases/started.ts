/** What a service was last started with: needed to stop it by its own release, and to start it again after a reboot. */
import { join } from 'node:path';
import { ifThere, writeDurably } from '../disk/durable.ts';
import type { Home } from './layout.ts';

export interface Started {
  version: string;
  /** Every declared variable, and VERSION. */
  values: Readonly<Record<string, string>>;
  /** Those of them that are secrets. */
  secrets: readonly string[];
  /** Digest of the manifest that was looked at when it was started. */
  manifest?: string | undefined;
  /** Whether it should run: false once it was told to stop. */
  wanted: boolean;
}

const NO_SECRETS: Partial<Started> = { secrets: [] };

function pathOf(home: Home): string {
  return join(home.run, 'values.json');
}

export async function readStarted(home: Home): Promise<Started | undefined> {
  const text = await ifThere(home.disk.readFile(pathOf(home), 'utf8'));
  // Written by an agent that knew no secrets, it has none.
  return text === undefined ? undefined : { ...NO_SECRETS, ...(JSON.parse(text) as Started) };
}

/** Readable by the agent alone. */
export async function writeStarted(home: Home, started: Started): Promise<void> {
  await writeDurably(home.disk, pathOf(home), JSON.stringify(started), 0o600);
}
