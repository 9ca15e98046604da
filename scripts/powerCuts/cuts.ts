/** What a power cut is: when it comes, where that was, and what was found afterwards. */
import { basename, relative } from 'node:path';
import type { Call } from '../tracing/strace.ts';

export type Side = 'agent' | 'controller';

/** At the N-th such call of the main thread, or of the one that works on files, just before it is carried out; or so many milliseconds after the beginning. */
export type Moment = { call: string; nth: number; thread: 'main' | 'files' } | { afterMs: number };

export interface Cut {
  side: Side;
  moment: Moment;
  /** In words: the call and the file, or `by chance, ...`. */
  where: string;
  /** How many things that were acknowledged before it were looked for afterwards. */
  acknowledged: number;
  /** What did not hold, a line each. */
  faults: string[];
}

export function inWords(moment: Moment): string {
  return 'afterMs' in moment ? `by chance after ${moment.afterMs} ms` : `${moment.call} ${moment.nth}`;
}

/** The call and its file, with names that differ each time replaced: `fsync hosts/a/.agent/journal/*.json`. */
export function placeOf(call: Call, dir: string): string {
  const paths = [...call.text.matchAll(/[<"](\/[^>"]*)[>"]/g)].map((match) => match[1]!);
  const path = paths.findLast((each) => each.startsWith(`${dir}/`));
  if (path === undefined) return call.name;
  const name = basename(path)
    .replace(/[0-9a-f]{64}/, '*')
    .replace(/\.[\w-]{12}\.tmp$/, '.*.tmp')
    .replace(/^(\.current-|\.fleet-)?[\w-]{12}$/, '$1*')
    .replace(/\d+\.\d+\.\d+/, 'VERSION');
  const folder = relative(dir, path)
    .split('/')
    .slice(0, -1)
    .map((part) => part.replace(/^[\w-]{12}$/, '*'));
  return [call.name, [...folder, name].join('/')].join(' ');
}
