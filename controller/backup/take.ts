/** Takes a backup while the controller works: the database first, then the files that this very copy of it names. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { type ArtifactFiles, inspectCopy } from '../store/copy.ts';
import type { Store } from '../store/store.ts';
import { syncFile, syncFolders } from './disk.ts';
import { DATABASE, type FileList, LIST, measure, verifyBackup } from './format.ts';

export interface Source {
  store: Pick<Store, 'fleet' | 'epoch' | 'copyTo'>;
  /** Where embedded balancers keep which hosts are hidden. */
  balancers: string;
  /** Of this program. */
  version: string;
}

/**
 * Written beside its place, read back, synced, renamed: what has the name is a whole backup. Throws `backup_exists`,
 * `disk_full`, `bad_backup`, and `bad_request` where nothing can be written.
 */
export async function takeBackup(folder: string, source: Source): Promise<FileList> {
  await refuseExisting(folder);
  const partial = `${folder}.partial-${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(partial, { mode: 0o700 });
    const takenAt = new Date().toISOString();
    await source.store.copyTo(join(partial, DATABASE));
    const { copied, missing } = await copyArtifacts(inspectCopy(join(partial, DATABASE)), partial);
    const paths = [DATABASE, ...copied, ...(await copyStates(source.balancers, partial))];
    const files: FileList['files'] = {};
    for (const path of paths) {
      await syncFile(join(partial, path));
      files[path] = await measure(join(partial, path));
    }
    const { fleet, epoch } = source.store;
    const list: FileList = { format: 1, takenAt, version: source.version, fleet, epoch, files, missing };
    await writeFile(join(partial, LIST), `${JSON.stringify(list, null, 2)}\n`, { mode: 0o600 });
    await syncFile(join(partial, LIST));
    await syncFolders(partial);
    await verifyBackup(partial);
    await refuseExisting(folder);
    await rename(partial, folder);
    await syncFile(dirname(folder));
    return list;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw explain(error, folder);
  }
}

async function refuseExisting(folder: string): Promise<void> {
  const there = await access(folder).then(
    () => true,
    () => false,
  );
  if (there)
    throw new FleetError(
      'backup_exists',
      `${folder} is there already, and a backup never writes over anything`,
      {
        next: 'name a folder that does not exist yet',
      },
    );
}

/** A version whose files are gone on the controller is no reason to have no backup of the rest. */
async function copyArtifacts(artifacts: ArtifactFiles[], partial: string) {
  const copied: string[] = [];
  const missing: string[] = [];
  for (const { service, version, artifactPath, manifestPath } of artifacts) {
    const mine = [artifactPath, manifestPath];
    if (!(await Promise.all(mine.map(isThere))).every(Boolean)) {
      missing.push(`${service} ${version}`);
      continue;
    }
    await mkdir(join(partial, 'artifacts', service), { recursive: true, mode: 0o700 });
    for (const from of mine) {
      const path = join('artifacts', service, basename(from));
      await copyFile(from, join(partial, path), constants.COPYFILE_FICLONE);
      copied.push(path);
    }
  }
  return { copied, missing };
}

async function copyStates(balancers: string, partial: string): Promise<string[]> {
  const names = (await readdir(balancers)).filter((name) => name.endsWith('.json'));
  if (names.length > 0) await mkdir(join(partial, 'balancers'), { mode: 0o700 });
  const paths = names.map((name) => join('balancers', name));
  for (const [index, name] of names.entries())
    await copyFile(join(balancers, name), join(partial, paths[index]!));
  return paths;
}

const isThere = (path: string) =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

function explain(error: unknown, folder: string): FleetError {
  if (error instanceof FleetError || !(error instanceof Error)) return asFleetError(error);
  const code = 'code' in error ? String(error.code) : '';
  if (['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes(code))
    return new FleetError('disk_full', `no room left on the disk for the backup ${folder}`, {
      next: 'make room there, or name a folder on another disk',
      cause: error,
    });
  return new FleetError('bad_request', `the backup ${folder} cannot be written: ${error.message}`, {
    next: 'name a new folder, in one that the controller may write to',
    cause: error,
  });
}
