/**
 * Processes as /proc knows them. A pid alone names nobody for long: pids are given out again, and all of them after a
 * reboot. A pid with its start time and the boot it was started in is one process and no other.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';

export interface ProcessIdentity {
  pid: number;
  /** Clock ticks after the boot, as /proc/PID/stat has it. */
  start: number;
  boot: string;
}

export interface ProcessStat {
  /** Of its program's file, or of its script's; at most 15 characters. */
  name: string;
  state: string;
  group: number;
  start: number;
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Undefined where no such process is. */
export function statOf(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name in parentheses may hold spaces and parentheses itself: what counts begins after the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
  return { name, state: fields[0]!, group: Number(fields[2]), start: Number(fields[19]) };
}

/** A zombie has ended: only its parent has not asked yet. */
function hasEnded({ state }: ProcessStat): boolean {
  return state === 'Z' || state === 'X';
}

/** Undefined where it has ended already. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = statOf(pid);
  return stat === undefined || hasEnded(stat) ? undefined : { pid, start: stat.start, boot: bootId() };
}

export function lives({ pid, start, boot }: ProcessIdentity): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.start === start && !hasEnded(stat) && boot === bootId();
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Whether anything in the group still runs. Zombies do not count: where nobody reaps orphans they stay for ever. */
export function groupLives(group: number): boolean {
  if (!signalGroup(group, 0)) return false;
  return allPids().some((pid) => {
    const stat = statOf(pid);
    return stat !== undefined && stat.group === group && !hasEnded(stat);
  });
}

/** False where the group is gone. A group that may not be signalled is still there. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/**
 * Whether anything of this user runs that was started at `since`, in ticks after the boot, or later. Where others' processes are
 * out of this one's sight (`ProtectProc=` of a unit), something may: yes.
 */
export function userRuns(uid: number, since = 0): boolean {
  if (uid !== process.getuid?.() && statOf(1) === undefined) return true;
  return allPids().some((pid) => {
    const stat = statOf(pid);
    return stat !== undefined && stat.start >= since && !hasEnded(stat) && ownerOf(pid) === uid;
  });
}

function ownerOf(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
}
