/** What a run keeps of its world for the checker: disks, manifests, and the database. */
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { command } from '../machines/commands.ts';
import { SERVICE, VERSIONS } from './application.ts';
import type { World } from './world.ts';

export async function keepWorld(world: World, dir: string): Promise<void> {
  for (const { name, root } of world.hosts) {
    mkdirSync(join(dir, 'disks'), { recursive: true });
    // As they are: owners, modes, links and times.
    command('cp', '--archive', root, join(dir, 'disks', name));
  }
  const manifests = join(dir, 'manifests', SERVICE);
  mkdirSync(manifests, { recursive: true });
  for (const { version } of VERSIONS) {
    const manifest = join(world.data, 'artifacts', SERVICE, `${version}.manifest.json`);
    if (existsSync(manifest)) cpSync(manifest, join(manifests, `${version}.json`));
  }
  const database = new Database(world.database, { readonly: true });
  await database.backup(join(dir, 'controller.sqlite'));
  database.close();
}
