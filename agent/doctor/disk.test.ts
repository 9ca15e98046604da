import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountSmallDisk, NO_MOUNT } from '@fleet/artifact/smallDisk.ts';
import t from 'tap';
import { lookAtDisk } from './disk.ts';

const disk = mountSmallDisk('size=1m,nr_inodes=50');
t.teardown(() => disk?.remove());
const skip = !disk && NO_MOUNT;

t.test('a disk that fills', { skip }, async (t) => {
  const { path } = disk!;
  t.match(await lookAtDisk('root', path), { level: 'ok', says: /1 MiB of 1 MiB free/, next: null });
  writeFileSync(join(path, 'most'), Buffer.alloc(970 * 1024));
  t.match(await lookAtDisk('root', path), { level: 'warn', about: 'disk root', next: /du -xsh/ });
  writeFileSync(join(path, 'rest'), Buffer.alloc(50 * 1024));
  t.match(await lookAtDisk('root', path), { level: 'bad' });
  for (const name of ['most', 'rest']) rmSync(join(path, name));
});

t.test('inodes that run out, with room left', { skip }, async (t) => {
  const { path } = disk!;
  for (let each = 0; each < 49; each += 1) writeFileSync(join(path, String(each)), '');
  t.match(await lookAtDisk('data', path), { level: 'bad', says: /MiB free, 0 of 50 inodes/ });
});

t.test('what is not there', async (t) => {
  t.match(await lookAtDisk('data', '/nothing/here'), { level: 'bad', says: /cannot be looked at/ });
});
