/** Ending what was started: the whole group first, then whoever left it. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { allPids, signalGroup } from './proc.ts';

/** After SIGKILL only a process stuck in the kernel is still there; nobody waits longer for one. */
const KILLED_MS = 5_000;
const LONGEST_PAUSE_MS = 50;

/** Asks `done` again and again, first often, then less so; false where it did not become true in time. */
export async function eventually(
  done: () => boolean,
  withinMs: number,
  longestPauseMs = LONGEST_PAUSE_MS,
): Promise<boolean> {
  const until = performance.now() + withinMs;
  for (let pause = 2; !done(); pause = Math.min(pause * 1.5, longestPauseMs)) {
    if (performance.now() >= until) return false;
    await sleep(pause);
  }
  return true;
}

/** Signal, grace, SIGKILL. False where the group outlived even that. */
export async function endGroup(
  group: number,
  { signal, graceMs, gone }: { signal: NodeJS.Signals; graceMs: number; gone: () => boolean },
): Promise<boolean> {
  if (!gone()) signalGroup(group, signal);
  if (await eventually(gone, graceMs)) return true;
  signalGroup(group, 'SIGKILL');
  return await eventually(gone, KILLED_MS);
}

/**
 * The variable that marks everything a run has started. A process that leaves its group by setsid keeps its environment,
 * so it is found by this one. One that overwrote its environment as well is not.
 */
export const MARKER = 'FLEET_RUN';

/** Kills whatever carries this mark, again until nothing does: what is killed may just have started another. */
export async function killMarked(mark: string): Promise<boolean> {
  const entry = `${MARKER}=${mark}`;
  const until = performance.now() + KILLED_MS;
  for (;;) {
    const found = await withEntry(entry);
    if (found.length === 0) return true;
    if (performance.now() >= until) return false;
    for (const pid of found) killIfMarked(pid, entry);
    await sleep(2);
  }
}

async function withEntry(entry: string): Promise<number[]> {
  const looked = await Promise.all(
    allPids().map(async (pid) => {
      // A zombie's environment is empty, another user's is refused: neither is ours to end.
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return hasEntry(environment, entry) ? [pid] : [];
    }),
  );
  return looked.flat();
}

/** Looks again with nothing in between, so that a pid given out anew since is left alone. */
function killIfMarked(pid: number, entry: string): void {
  try {
    if (hasEntry(readFileSync(`/proc/${pid}/environ`, 'utf8'), entry)) process.kill(pid, 'SIGKILL');
  } catch {
    // gone by itself
  }
}

function hasEntry(environment: string, entry: string): boolean {
  return `\0${environment}`.includes(`\0${entry}\0`);
}
