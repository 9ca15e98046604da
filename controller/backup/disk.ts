/** What is synced here is on the disk when the promise resolves. */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A file's content, or the names in a folder. */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The names in a folder and in those below it. */
export async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  await syncFile(folder);
}
