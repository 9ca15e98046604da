/** Runs of hooks and once steps, as the programs themselves wrote them down. */
import type { Evidence } from './read.ts';

export interface HookRun {
  host: string;
  version: string;
  name: string;
  pid: number;
  from: number;
  /** Undefined where it wrote no end: it failed, or was ended in the middle. */
  to: number | undefined;
}

const NO_HOOKS: ReadonlySet<string> = new Set(['service', 'smoke']);

/** By their begin. */
export function hookRuns({ programs }: Evidence): HookRun[] {
  const open = new Map<string, HookRun>();
  const runs: HookRun[] = [];
  for (const { host, version, name, event, pid, at } of programs) {
    if (NO_HOOKS.has(name)) continue;
    const key = `${host} ${pid} ${name}`;
    if (event === 'begin') {
      const run: HookRun = { host, version, name, pid, from: at, to: undefined };
      runs.push(run);
      open.set(key, run);
    } else {
      const begun = open.get(key);
      if (begun) begun.to = at;
      open.delete(key);
    }
  }
  return runs;
}
