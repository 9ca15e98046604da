/** What a native file runs on, by its own header: one for another machine is found where it is bundled, not where it is installed. */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

export const PLATFORMS = ['linux-x64', 'linux-arm64'] as const;
export type Platform = (typeof PLATFORMS)[number];

const MACHINES: Record<number, Platform> = { 62: 'linux-x64', 183: 'linux-arm64' };
const MAGIC = Buffer.from('\x7fELF');

/** Undefined for what is no ELF file, or one for something else. `null`: text, and the like. */
export function machineOf(file: string): Platform | undefined | null {
  const header = Buffer.alloc(20);
  const fd = openSync(file, 'r');
  try {
    readSync(fd, header);
  } finally {
    closeSync(fd);
  }
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  return MACHINES[header.readUInt16LE(18)];
}

/** Native files below a folder, with what each runs on. */
export function nativeIn(folder: string): Record<string, Platform | undefined> {
  const found: Record<string, Platform | undefined> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const machine = machineOf(path);
    if (machine !== null) found[path.slice(folder.length + 1)] = machine;
  }
  return found;
}

/** Throws where a folder for one platform holds a native file for another. */
export function requireMachine(folder: string, platform: Platform | undefined): void {
  for (const [path, machine] of Object.entries(nativeIn(folder)))
    if (machine !== platform) throw new Error(`${path} does not run on ${platform ?? 'every machine'}`);
}
