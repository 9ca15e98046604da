/** Ending what was started: the whole group first, then whoever left it. */
import { readFileSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { allPids, signalGroup, userRuns } from './proc.ts';
import { killMarkedAs, needsSudo, signalGroupAs } from './sudo.ts';
import type { User } from './user.ts';

/** After SIGKILL only a process stuck in the kernel is still there; nobody waits longer for one. */
const KILLED_MS = 5_000;
const LONGEST_PAUSE_MS = 50;
const SCANNED_AT_ONCE = 100;

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

/** Signal, grace, SIGKILL. `user`: to whom it belongs, if not to this process's own. False where the group outlived even that. */
export async function endGroup(
  group: number,
  {
    signal,
    graceMs,
    gone,
    user,
  }: { signal: NodeJS.Signals; graceMs: number; gone: () => boolean; user?: User | undefined },
): Promise<boolean> {
  if (!gone()) await tellGroup(group, signal, user);
  if (await eventually(gone, graceMs)) return true;
  await tellGroup(group, 'SIGKILL', user);
  return await eventually(gone, KILLED_MS);
}

export async function tellGroup(group: number, signal: NodeJS.Signals, user?: User): Promise<void> {
  if (user !== undefined && needsSudo(user)) await signalGroupAs(user, group, signal);
  else signalGroup(group, signal);
}

/**
 * The variable that marks everything a run has started. A process that leaves its group by setsid keeps its environment,
 * so it is found by this one. One that overwrote its environment as well is not.
 */
export const MARKER = 'FLEET_RUN';

/**
 * Kills whatever carries this mark, again until nothing does: what is killed may just have started another. `user`: to whom it
 * belongs, if not to this process's own; `since`: nothing of it is older, in ticks after the boot.
 */
export async function killMarked(mark: string, user?: User, since = 0): Promise<boolean> {
  const entry = entryOf(mark);
  const beyond = user !== undefined && needsSudo(user) && userRuns(user.uid, since);
  const others = !beyond || (await killMarkedAs(user, entry)) !== undefined;
  const until = performance.now() + KILLED_MS;
  for (;;) {
    const found = await findMarked(mark);
    if (found.length === 0) return others;
    if (performance.now() >= until) return false;
    for (const pid of found) killIfMarked(pid, entry);
    await sleep(2);
  }
}

/** Read at once and not in the background, which would take four times as long; but never many without a pause. */
export async function findMarked(mark: string): Promise<number[]> {
  const entry = entryOf(mark);
  const found: number[] = [];
  for (const [index, pid] of allPids().entries()) {
    if (index % SCANNED_AT_ONCE === SCANNED_AT_ONCE - 1) await setImmediate();
    if (carries(pid, entry)) found.push(pid);
  }
  return found;
}

function entryOf(mark: string): string {
  return `${MARKER}=${mark}`;
}

/** A zombie's environment is empty, another user's is refused: neither is ours to end. */
function carries(pid: number, entry: string): boolean {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(`\0${entry}\0`);
  } catch {
    return false;
  }
}

/** Looks again with nothing in between, so that a pid given out anew since is left alone. */
function killIfMarked(pid: number, entry: string): void {
  if (!carries(pid, entry)) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone by itself
  }
}
