import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, realDisk } from '../disk/disk.ts';
import { homeOf, makeHome } from './layout.ts';
import { linkShared } from './shared.ts';

t.test('a directory that is made on the way to a shared path is on the disk with its name', async (t) => {
  const synced: string[] = [];
  const disk: Disk = {
    ...realDisk,
    async open(path, flags, mode) {
      const file = await realDisk.open(path, flags, mode);
      const sync = () => file.sync().then(() => void synced.push(path));
      return Object.assign(Object.create(file), { sync, close: () => file.close() });
    },
  };
  const home = homeOf(t.testdir(), 'web', disk);
  await makeHome(home);
  const tree = join(home.staging, 'tree');
  await mkdir(tree);
  synced.length = 0;
  await linkShared(home, '1.0.0', tree, ['logs/old']);
  t.ok(synced.includes(tree), 'the name of logs');
  t.ok(synced.includes(join(tree, 'logs')), 'the name of the link');
});
