/** Makes the Debian that machines boot from, where there is none yet: before the tests, so that none of them waits for it. */
import { debianBase, hasBase } from './base.ts';

if (!hasBase()) {
  process.stdout.write('Making a Debian that hosts are booted from: a minute, once\n');
  debianBase();
}
