/**
 * A room of another user, for a controller that is not root and can give nothing away. Trees are copied, each side by its own
 * user: nothing that a build has made is read with the controller's rights, so no link in it leads to what is the controller's,
 * and what a build left running can change nothing in what was taken back.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { sudoPrefix } from '@fleet/process/sudo.ts';
import type { User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { BUILD_USER, type BuildUser } from './buildUser.ts';
import type { Room } from './room.ts';

/** Rooms in use, by user. */
const open = new Map<string, number>();

const MAKE = 'room=$(mktemp -d "$1/$2-XXXXXXXXXX") && chmod 0755 "$room" && echo "$room"';
const PUT = 'mkdir -m 0755 -- "$1" && exec tar -C "$1" -xpf -';
/** Whatever rights its folders have. */
const REMOVE = 'chmod -R u+rwX -- "$@" 2>/dev/null; rm -rf -- "$@"';
const CLEAR = `set -- "$1"/*; [ -e "$1" ] || [ -L "$1" ] || exit 0; ${REMOVE}`;
/** All that the user runs, but this shell. Whoever has rid itself of every mark is found by this alone. */
const END_ALL = 'kill -s KILL -- -1 2>/dev/null || :';

export async function roomBySudo({ user, dir }: BuildUser, own: string, service: string): Promise<Room> {
  const seen = (await shell(user, MAKE, dir, service)).trim();
  open.set(user.name, (open.get(user.name) ?? 0) + 1);
  return {
    own,
    seen,
    async give(name) {
      // What the controller makes is for itself alone; the room is in a folder that is closed to all others.
      const from = ['tar', '-C', join(own, name), '--mode=go+rX', '-cf', '-', '.'];
      await carry(from, asUser(user, PUT, join(seen, name)));
    },
    async takeBack(name) {
      const into = join(own, name);
      await rm(into, { recursive: true, force: true });
      await mkdir(into);
      const from = ['-C', join(seen, name), '--mode=u+rwX', '-cf', '-', '.'];
      await carry(asUser(user, 'exec tar "$@"', ...from), [
        'tar',
        '-C',
        into,
        '--no-same-owner',
        '--no-same-permissions',
        '-xf',
        '-',
      ]);
    },
    async remove() {
      const others = open.get(user.name)! - 1;
      open.set(user.name, others);
      // A user that was there before may run other things, too.
      if (others === 0 && user.name === BUILD_USER) await shell(user, END_ALL);
      await shell(user, REMOVE, seen);
    },
  };
}

export async function clearRoomsOf({ user, dir }: BuildUser): Promise<void> {
  await shell(user, CLEAR, dir);
}

function asUser({ name }: User, script: string, ...args: string[]): string[] {
  return [...sudoPrefix(name, { environment: false }), '/bin/sh', '-c', script, 'sh', ...args];
}

const options = () => ({ cwd: '/', env: cleanEnvironment({ LC_ALL: 'C' }) });

async function shell(user: User, script: string, ...args: string[]): Promise<string> {
  const [program = '', ...argv] = asUser(user, script, ...args);
  return (await promisify(execFile)(program, argv, options())).stdout;
}

/** What the one prints, the other reads. Throws `build_failed`; `ENOSPC` where the disk is full. */
async function carry(from: string[], into: string[]): Promise<void> {
  const reader = spawn(from[0]!, from.slice(1), { ...options(), stdio: ['ignore', 'pipe', 'pipe'] });
  const writer = spawn(into[0]!, into.slice(1), { ...options(), stdio: ['pipe', 'ignore', 'pipe'] });
  const [, ...complaints] = await Promise.all([
    // Of an end before its time, the programs themselves tell why.
    pipeline(reader.stdout, writer.stdin).catch(() => {}),
    complaintOf(reader),
    complaintOf(writer),
  ]);
  const said = complaints.filter((each) => each !== undefined).join('\n');
  if (said === '') return;
  if (/No space left|quota exceeded/i.test(said)) throw Object.assign(new Error(said), { code: 'ENOSPC' });
  throw new FleetError('build_failed', `the files of the build cannot be handed over: ${said}`, {
    next: 'See that the build command leaves only files that its own user can read.',
  });
}

/** Undefined where all went well. */
async function complaintOf(child: ChildProcess): Promise<string | undefined> {
  const [said, [code, signal]] = await Promise.all([
    text(child.stderr!),
    once(child, 'close') as Promise<[number | null, string | null]>,
  ]);
  return code === 0 ? undefined : said.trim().slice(-2000) || `tar ended by ${signal ?? code}`;
}
