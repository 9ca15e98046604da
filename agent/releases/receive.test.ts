import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Disk, realDisk } from '../disk/disk.ts';
import { createReceiver } from './receive.ts';

t.test(
  'a disk without room is told as such also where what is there is cut to where it goes on',
  async (t) => {
    const root = t.testdir();
    const staging = join(root, 'worker/staging');
    mkdirSync(staging, { recursive: true });
    writeFileSync(join(staging, `1.0.0.artifact.${'0'.repeat(64)}.part`), 'what came');
    const disk: Disk = {
      ...realDisk,
      open: async (...args) => {
        const file = await realDisk.open(...args);
        file.truncate = () =>
          Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
        return file;
      },
    };
    const receive = createReceiver(root, disk);
    await t.rejects(receive('release/worker/1.0.0/artifact', 4, 100), { code: 'disk_full' });
    await t.rejects(receive('release/worker/1.0.0/artifact', 40, 100), { code: 'transfer_failed' });
  },
);
