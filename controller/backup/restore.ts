/** Brings a backup back into a controller's data directory, where no controller runs. */
import { randomBytes } from 'node:crypto';
import { access, copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { lockData } from '../dataLock.ts';
import { abandonUnfinished } from '../deploy/abandon.ts';
import { markRestored } from '../store/copy.ts';
import { type CutOff, keepCutOff } from '../store/cutOff.ts';
import { createStore } from '../store/store.ts';
import { syncFile, syncFolders } from './disk.ts';
import { DATABASE, type FileList, verifyBackup } from './format.ts';

/** What belongs to a database and would mislead another one. The output of steps lies under the numbers of deployments. */
const BELONGING = ['artifacts', 'outputs', 'fleet.sqlite-wal', 'fleet.sqlite-shm', DATABASE];

export interface Restored {
  list: FileList;
  /** Deployments that were under way when the backup was made. */
  ended: number[];
  /** Where what was there before lies now. */
  aside: string | null;
  /** Who stays out, by the database that was there before. */
  cutOff: CutOff;
}

/**
 * Everything is made ready beside its place, and the database comes last: until it is there, the same can be done again.
 * Throws `data_in_use`, `data_exists`, `bad_backup`, and what opening a database throws.
 */
export async function restoreBackup(folder: string, data: string, replace: boolean): Promise<Restored> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  const unlock = lockData(data);
  const ready = join(data, `restoring-${randomBytes(6).toString('hex')}`);
  try {
    const former = join(data, DATABASE);
    const isReplaced = await isThere(former);
    if (isReplaced && !replace) throw dataExists(data);
    const list = await verifyBackup(folder);
    await copyFiles(folder, ready, list);
    const database = join(ready, DATABASE);
    const ended = await prepareDatabase(database, list, join(data, 'artifacts'));
    const cutOff = keepCutOff(database, isReplaced ? former : undefined, new Date().toISOString());
    await syncFolders(ready);
    const aside = await setAside(data);
    await moveIn(ready, data);
    return { list, ended, aside, cutOff };
  } finally {
    await rm(ready, { recursive: true, force: true });
    unlock();
  }
}

function dataExists(data: string): FleetError {
  return new FleetError('data_exists', `${data} holds a database already`, {
    next: 'add --replace to move it aside first; nothing of it is deleted',
  });
}

async function copyFiles(folder: string, ready: string, { files }: FileList): Promise<void> {
  await mkdir(join(ready, 'artifacts'), { recursive: true, mode: 0o700 });
  for (const path of Object.keys(files)) {
    await mkdir(dirname(join(ready, path)), { recursive: true, mode: 0o700 });
    await copyFile(join(folder, path), join(ready, path));
    await syncFile(join(ready, path));
  }
}

/** Opening it looks at all of it, brings an older one to this program's form, and raises the epoch. */
async function prepareDatabase(file: string, { takenAt }: FileList, artifacts: string): Promise<number[]> {
  markRestored(file, takenAt);
  const store = await createStore(file);
  try {
    await store.artifacts.moveFiles(artifacts);
    const details = { takenAt };
    await store.audit.append({
      who: 'fleet restore',
      from: 'this machine',
      what: 'restore',
      outcome: 'done',
      details,
    });
    return await abandonUnfinished(store, takenAt);
  } finally {
    await store.close();
  }
}

async function setAside(data: string): Promise<string | null> {
  const there = await Promise.all(BELONGING.map((name) => isThere(join(data, name))));
  const names = BELONGING.filter((_, index) => there[index]);
  if (names.length === 0) return null;
  const aside = join(data, `replaced-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`);
  await mkdir(aside, { mode: 0o700 });
  for (const name of names) await rename(join(data, name), join(aside, name));
  await syncFile(aside);
  await syncFile(data);
  return aside;
}

async function moveIn(ready: string, data: string): Promise<void> {
  await moveInStates(join(ready, 'balancers'), join(data, 'balancers'));
  await rename(join(ready, 'artifacts'), join(data, 'artifacts'));
  await syncFile(data);
  await rename(join(ready, DATABASE), join(data, DATABASE));
  await syncFile(data);
}

/** What a balancer of this machine has kept is newer than the backup, and stays. */
async function moveInStates(from: string, to: string): Promise<void> {
  const names = await readdir(from).catch(() => []);
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of names)
    if (!(await isThere(join(to, name)))) await rename(join(from, name), join(to, name));
  await syncFile(to);
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
