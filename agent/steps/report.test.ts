import { mkdir } from 'node:fs/promises';
import t from 'tap';
import { realDisk } from '../disk/disk.ts';
import type { Host } from '../host.ts';
import { homeOf, makeHome } from '../releases/layout.ts';
import { reportService } from './report.ts';

t.test('a disk that cannot be read does not make a host look new', async (t) => {
  const root = t.testdir();
  const broken = Object.assign(new Error('EIO: i/o error, readlink'), { code: 'EIO' });
  const home = homeOf(root, 'web', { ...realDisk, readlink: () => Promise.reject(broken) });
  await makeHome(home);
  const host = {} as Host;
  await t.rejects(reportService(host, home), { code: 'EIO' });
  await mkdir(home.current);
  t.match(await reportService(host, homeOf(root, 'web')), { current: null }, 'what is no link names nothing');
});
