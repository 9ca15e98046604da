/** Rooms for builds, as who builds is able to make them. */
import { execFile } from 'node:child_process';
import { chmod, lchown, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { needsSudo } from '@fleet/process/sudo.ts';
import type { BuildUser } from './buildUser.ts';
import type { Room } from './room.ts';
import { clearRoomsOf, roomBySudo } from './roomBySudo.ts';

/** `own`: a folder that only the controller can reach. */
export async function openRoom(as: BuildUser | undefined, own: string, service: string): Promise<Room> {
  if (as === undefined) return { own, seen: own, async give() {}, async takeBack() {}, async remove() {} };
  return needsSudo(as.user) ? roomBySudo(as, own, service) : roomByRoot(as, service);
}

/** What a controller that was killed in the middle of builds left behind. For the start, before the first build. */
export async function clearRooms(as: BuildUser | undefined, dir: string): Promise<void> {
  if (as !== undefined && needsSudo(as.user)) await clearRoomsOf(as);
  else await clearWork(dir);
}

/** The same of a folder that is the controller's own. */
export async function clearWork(work: string): Promise<void> {
  const left = await readdir(work).catch(() => []);
  // What cannot be removed takes room, and keeps nobody from building.
  await Promise.all(left.map((name) => removeTree(join(work, name)).catch(() => {})));
}

/** Also where a build has left folders that nobody may write, as some keep what they have fetched. */
export async function removeTree(tree: string): Promise<void> {
  const remove = () => rm(tree, { recursive: true, force: true, maxRetries: 3 });
  await remove().catch(async () => {
    await run('chmod', ['-R', 'u+rwX', '--', tree]);
    await remove();
  });
}

/** A new folder that the user can go through, and only root can change: what is in it changes hands. */
async function roomByRoot({ user, dir }: BuildUser, service: string): Promise<Room> {
  const room = await realpath(await mkdtemp(join(dir, `${service}-`)));
  await chmod(room, 0o711);
  const { uid, gid } = userInfo();
  /** Only what is the user's changes hands. */
  const takeBack = async (tree: string) => {
    await lchown(tree, uid, gid);
    await chmod(tree, 0o700);
    await changeOwner([`--from=${user.uid}`, `${uid}:${gid}`], tree);
    await run('chmod', ['-R', 'go-w', '--', tree]);
  };
  return {
    own: room,
    seen: room,
    give: (name) => changeOwner([`${user.uid}:${user.gid}`], join(room, name)),
    takeBack: (name) => takeBack(join(room, name)),
    async remove() {
      await takeBack(room);
      await removeTree(room);
    },
  };
}

/** Links themselves change hands, not what they lead to. */
async function changeOwner(how: string[], tree: string): Promise<void> {
  await run('chown', ['-R', '-P', '-h', ...how.slice(0, -1), '--', how.at(-1)!, tree]);
}

async function run(program: string, argv: string[]): Promise<void> {
  await promisify(execFile)(program, argv, { env: cleanEnvironment() });
}
