/**
 * The program that unpacks where its parent is root: the first thing that it does is to become a user without rights, before a
 * byte of what it unpacks is seen. It can reach its own directory, where it stands, and what everybody can.
 *
 * `apart.ts UID GID`, started in the directory to unpack into, with the artifact as file 4. All that it will ever need is loaded before it
 * changes its user: nobody may not be able to read it.
 */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import { explain, sizeOf } from './finish.ts';
import type { Answer } from './inThread.ts';
import { writeRelease } from './unpackArchive.ts';

export const ARTIFACT = 4;

export interface Order {
  manifest: Manifest;
  /** Where it is, for messages. */
  into: string;
}

async function unpackHere({ manifest, into }: Order): Promise<Answer<'unpack'>> {
  try {
    await writeRelease(ARTIFACT, manifest, '.', into);
    return { output: { files: manifest.files.length, bytes: sizeOf(manifest) } };
  } catch (error) {
    return { error: asFleetError(explain(error, manifest, into)).toJSON() };
  }
}

function becomeUser(uid: number, gid: number): void {
  process.setgroups!([]);
  process.setgid!(gid);
  process.setuid!(uid);
  if (process.getuid!() !== uid || process.geteuid!() !== uid || process.getegid!() !== gid)
    throw new Error(`this process could not become user ${uid}`);
}

if (import.meta.main) {
  process.umask(0o022);
  becomeUser(Number(process.argv[2]), Number(process.argv[3]));
  // Its parent has died, and nobody waits for this any more.
  process.on('disconnect', () => process.exit(1));
  process.once('message', (order: Order) => {
    void unpackHere(order).then((answer) => process.send!(answer));
  });
}
