/**
 * What a process that is not root does as another user: by sudo, where root has made a rule for it (`packages/units/sudoers.ts`). By
 * that rule sudo becomes the command, so that its number is the command's and it is in the group that it was started in.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';

const SUDO = ['/usr/bin/sudo', '/bin/sudo', '/usr/local/bin/sudo'];
const MOST_MS = 15_000;

interface Who {
  name: string;
  uid: number;
}

export function findSudo(): string | undefined {
  return SUDO.find((path) => existsSync(path));
}

/** Whether something as this user is beyond what this process can do itself. */
export function needsSudo({ uid }: Pick<Who, 'uid'>): boolean {
  const own = process.getuid?.();
  return own !== 0 && own !== uid;
}

/** Before program and arguments: as `user`, by name. `environment`: with the one that sudo itself is started with. Throws where there is no sudo. */
export function sudoPrefix(user: string, { environment }: { environment: boolean }): string[] {
  const sudo = findSudo();
  if (sudo === undefined) throw new Error(`there is no sudo to run a program as ${user} by`);
  return [sudo, '-n', ...(environment ? ['-E'] : []), '-u', user, '--'];
}

/** Whether there is a rule for any program as this user. */
export async function mayRunAs(user: string): Promise<boolean> {
  const sudo = findSudo();
  if (sudo === undefined) return false;
  return succeeds([sudo, '-n', '-l', '-u', user, '--', '/bin/sh', '-c', ':']);
}

/** Signals every member of a group: the shell's own `kill`, because the program is not everywhere. Then signal and group. */
const KILL = ['/bin/sh', '-c', 'kill -s "$0" -- "-$1"'];
export const signalPrefix = (user: string) => [...sudoPrefix(user, { environment: false }), ...KILL];

export async function signalGroupAs(user: Who, group: number, signal: NodeJS.Signals): Promise<void> {
  await succeeds([...signalPrefix(user.name), signal.replace('SIG', ''), String(group)]);
}

/** Kills what has this entry in its environment, until nothing does; for five seconds. The shell does not have it itself. */
const KILL_MARKED = `
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  found=$(grep -lszxF -e "$0" /proc/[0-9]*/environ)
  [ -n "$found" ] || exit 0
  for each in $found; do each=\${each#/proc/}; kill -s KILL "\${each%/environ}" && echo "\${each%/environ}"; done
  [ $round = 1 ] || sleep 0.2
done
exit 1`;

/** How many there were; undefined where one outlived that. */
export async function killMarkedAs(user: Who, entry: string): Promise<number | undefined> {
  const shell = ['/bin/sh', '-c', KILL_MARKED, entry];
  const pids = await answerOf([...sudoPrefix(user.name, { environment: false }), ...shell]);
  return pids === undefined ? undefined : new Set(pids.split('\n').filter((line) => line !== '')).size;
}

async function succeeds(argv: string[]): Promise<boolean> {
  return (await answerOf(argv)) !== undefined;
}

/** Undefined where it does not end with exit status 0. */
async function answerOf([program = '', ...args]: string[]): Promise<string | undefined> {
  try {
    const options = { env: cleanEnvironment(), timeout: MOST_MS };
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch {
    return undefined;
  }
}
