/** What is on a host's disk, read without the product: releases against their manifests, what the agent has written down. */
import { createHash } from 'node:crypto';
import { globSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

interface Manifest {
  files: Array<{ path: string; type: 'file' | 'directory' | 'link'; sha256?: string; target?: string }>;
}

/** What is wrong with a release, in a line each. */
export function faultsOfRelease(home: string, version: string): string[] {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(readFileSync(join(home, 'manifests', `${version}.json`), 'utf8')) as Manifest;
    for (const kind of ['sealed', 'stats'])
      JSON.parse(readFileSync(join(home, kind, `${version}.json`), 'utf8'));
  } catch (error) {
    return [`what is noted about ${version} cannot be read: ${error}`];
  }
  return manifest.files.flatMap((entry) => {
    const path = join(home, 'releases', version, entry.path);
    try {
      return holds(path, entry) ? [] : [`${version}: ${entry.path} is not what the manifest says`];
    } catch (error) {
      return [`${version}: ${entry.path}: ${error}`];
    }
  });
}

function holds(path: string, { type, sha256, target }: Manifest['files'][number]): boolean {
  if (type === 'directory') return lstatSync(path).isDirectory();
  if (type === 'link') return readlinkSync(path) === target;
  return createHash('sha256').update(readFileSync(path)).digest('hex') === sha256;
}

/** The version that `current` names, null where there is none. */
export function currentOf(home: string): string | null {
  try {
    return basename(readlinkSync(join(home, 'current')));
  } catch {
    return null;
  }
}

/** `current` leads to a complete release, and all that the agent has written down can be read. */
export function faultsOfHost(home: string, agentData: string): string[] {
  const current = currentOf(home);
  const faults = current === null ? ['current is gone'] : faultsOfRelease(home, current);
  const notes = [
    join(home, 'activations.json'),
    join(agentData, 'epochs.json'),
    ...globSync(join(agentData, 'journal', '*.json')),
    ...globSync(join(home, 'run', '{values,spec}.json')),
  ];
  for (const path of notes) {
    try {
      JSON.parse(readFileSync(path, 'utf8'));
    } catch (error) {
      faults.push(`${basename(path)} cannot be read: ${error}`);
    }
  }
  return faults;
}

/** The highest epoch that the agent has written down, 0 where there is none. */
export function epochOf(agentData: string): number {
  try {
    const epochs = JSON.parse(readFileSync(join(agentData, 'epochs.json'), 'utf8')) as Record<string, number>;
    return Math.max(0, ...Object.values(epochs));
  } catch {
    return 0;
  }
}

/** What no deployment under way would have there: staging, and names of what was to be renamed. */
export function leftOversOf(home: string, agentData: string): string[] {
  const staging = readdirSync(join(home, 'staging')).map((name) => `staging/${name}`);
  const others = globSync(['**/*.tmp', '.current-*', 'shared/.fleet-*'], { cwd: home });
  const data = globSync(['**/*.tmp', 'lock.*'], { cwd: agentData });
  return [...staging, ...others, ...data];
}
