/** Points: the N-th call of a kind that a program makes for its own files, and what may become of it there. */
import { placeOf } from '../powerCuts/cuts.ts';
import type { Call, Injection } from '../tracing/strace.ts';

export const FAULTS = ['error=EIO', 'error=ENOSPC', 'signal=SIGKILL'] as const;
export type Fault = (typeof FAULTS)[number];

/** All that changes a disk, and the opening of files. */
export const CALLS = [
  ...['openat', 'write', 'pwrite64', 'ftruncate', 'fsync', 'fdatasync', 'rename', 'link', 'symlink'],
  ...['mkdir', 'unlink', 'rmdir', 'fchmod', 'chmod'],
] as const;

/** Calls that need room on the disk. */
const TAKE_ROOM = new Set(['write', 'pwrite64', 'fsync', 'fdatasync', 'rename', 'link', 'symlink', 'mkdir']);

export interface Point extends Injection {
  fault: Fault;
  place: string;
}

/** Of a run in which nothing went wrong: every call below `dir`, with each fault that it can have. */
export function pointsOf(calls: readonly Call[], dir: string, faults: readonly Fault[]): Point[] {
  const counts = new Map<string, number>();
  const points: Point[] = [];
  for (const call of calls) {
    const nth = (counts.get(call.name) ?? 0) + 1;
    counts.set(call.name, nth);
    if (!call.text.includes(`${dir}/`)) continue;
    const creates = call.text.includes('O_CREAT');
    for (const fault of faults) {
      const reads = call.name === 'openat' && !creates;
      if (fault !== 'error=EIO' && reads) continue;
      if (fault === 'error=ENOSPC' && !creates && !TAKE_ROOM.has(call.name)) continue;
      points.push({ call: call.name, nth, fault, place: placeOf(call, dir) });
    }
  }
  return points;
}
