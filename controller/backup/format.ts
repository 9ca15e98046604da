/**
 * A backup is a folder: `fleet.sqlite`, `artifacts/SERVICE/...` as on the controller, `balancers/...`, and `backup.json`, which
 * names every other file with its digest. It is written last: a folder without it is no backup.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { releasePath } from '@fleet/protocol/manifest.ts';
import { digest, fleetId } from '@fleet/protocol/words.ts';
import { z } from 'zod';

export const DATABASE = 'fleet.sqlite';
export const LIST = 'backup.json';

export const fileList = z.strictObject({
  format: z.literal(1),
  takenAt: z.iso.datetime(),
  /** Of the program that made it. */
  version: z.string(),
  fleet: fleetId,
  epoch: z.int().min(1),
  files: z.record(releasePath, z.strictObject({ size: z.int().min(0), sha256: digest })),
  /** `service version` of artifacts whose files the controller itself had lost. */
  missing: z.array(z.string()),
});
export type FileList = z.infer<typeof fileList>;

export async function measure(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { size, sha256: hash.digest('hex') };
}

/** Reads every file of a backup. Throws `bad_backup` and names the first that is not what was written. */
export async function verifyBackup(folder: string): Promise<FileList> {
  const list = await readList(folder);
  for (const [path, { size, sha256 }] of Object.entries(list.files)) {
    const found = await measure(join(folder, path)).catch((cause: unknown) => {
      throw badBackup(folder, `${path} cannot be read`, cause);
    });
    if (found.size !== size || found.sha256 !== sha256)
      throw badBackup(
        folder,
        `${path} is not what was written: ${found.size} of ${size} bytes, sha256 ${found.sha256}`,
      );
  }
  return list;
}

async function readList(folder: string): Promise<FileList> {
  let written: unknown;
  try {
    written = JSON.parse(await readFile(join(folder, LIST), 'utf8'));
  } catch (cause) {
    throw badBackup(folder, `there is no ${LIST} that can be read`, cause);
  }
  const list = fileList.safeParse(written);
  if (!list.success) throw badBackup(folder, `${LIST} is not one that this fleet understands`, list.error);
  if (!Object.hasOwn(list.data.files, DATABASE)) throw badBackup(folder, `it has no ${DATABASE}`);
  return list.data;
}

function badBackup(folder: string, what: string, cause?: unknown): FleetError {
  return new FleetError('bad_backup', `${folder} is no whole backup: ${what}`, {
    next: 'take another one',
    cause,
  });
}
