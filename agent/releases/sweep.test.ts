import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, realDisk } from '../disk/disk.ts';
import { homeOf, makeHome } from './layout.ts';
import { removeRelease } from './release.ts';
import { clearStaging } from './sweep.ts';

t.test('a release whose removal was cut short by the disk goes with the next one that comes', async (t) => {
  let broken = false;
  const disk: Disk = {
    ...realDisk,
    open: (path, flags, mode) =>
      broken ? Promise.reject(new Error('EIO: i/o error, open')) : realDisk.open(path, flags, mode),
  };
  const home = homeOf(t.testdir(), 'web', disk);
  await makeHome(home);
  await mkdir(join(home.releases, '1.0.0', 'bin'), { recursive: true });
  const part = `1.1.0.artifact.${'0'.repeat(64)}.part`;
  await mkdir(join(home.staging, part));
  broken = true;
  await t.rejects(removeRelease(home, '1.0.0'), /EIO/);
  t.equal((await readdir(home.staging)).length, 2);
  await t.rejects(clearStaging(home), /EIO/, 'not before its name is gone for good');
  broken = false;
  await clearStaging(home);
  t.strictSame(await readdir(home.staging), [part], 'what is on its way stays');
  t.strictSame(await readdir(home.releases), []);
});
