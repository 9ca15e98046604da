/** Hooks of an agent that was killed in the middle of them. Their outcome is lost, and they must not run beside the next ones. */
import { readFileSync } from 'node:fs';
import { allPids, userRuns } from '@fleet/process/proc.ts';
import { killMarkedAs, needsSudo } from '@fleet/process/sudo.ts';
import { findUser } from '@fleet/process/user.ts';

/** Marks what a hook starts with the agent that started it. Services do not carry it. */
export const HOOK = 'FLEET_HOOK_OF';

/**
 * Kills them, before the agent runs any hook of its own. `users`: names of those that hooks run as, to whom an agent that is not
 * root comes by sudo alone. Returns how many processes there were.
 */
export async function endLeftovers(instance: string, users: Iterable<string>): Promise<number> {
  let ended = endOwn(instance);
  for (const name of new Set(users)) {
    const user = await findUser(name);
    if (user && needsSudo(user) && userRuns(user.uid))
      ended += (await killMarkedAs(user, `${HOOK}=${instance}`)) ?? 0;
  }
  return ended;
}

function endOwn(instance: string): number {
  const ended = new Set<number>();
  for (let before = -1; ended.size > before; ) {
    before = ended.size;
    for (const pid of allPids())
      if (!ended.has(pid) && carries(pid, `${HOOK}=${instance}`) && kill(pid)) ended.add(pid);
  }
  return ended.size;
}

function carries(pid: number, entry: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(entry);
  } catch {
    return false; // gone, or another user's
  }
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
