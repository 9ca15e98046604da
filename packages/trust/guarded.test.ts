/** Files that hold secrets: whose they are, and who else could look. */
import {
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readGuarded, writeGuarded } from './guarded.ts';

t.test('what is written is its owner’s alone, whatever the umask', async (t) => {
  const path = join(t.testdir(), 'trust', 'release.key');
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  writeGuarded(path, 'a secret');
  t.equal(readGuarded(path), 'a secret');
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  writeGuarded(path, 'another');
  t.equal(readGuarded(path), 'another');
  t.strictSame(readdirSync(join(path, '..')), ['release.key'], 'nothing is left beside it');
});

t.test('what lies where it is written first gets nothing of it', async (t) => {
  const dir = t.testdir({ elsewhere: '' });
  const path = join(dir, 'release.key');
  symlinkSync('elsewhere', `${path}.new`);
  writeGuarded(path, 'a secret');
  t.equal(readFileSync(join(dir, 'elsewhere'), 'utf8'), '');
  t.equal(readGuarded(path), 'a secret');
  writeFileSync(`${path}.new`, '', { mode: 0o644 });
  writeGuarded(path, 'another');
  t.equal(readGuarded(path), 'another', 'nobody else can read it');
});

t.test('what others may read is refused', async (t) => {
  const path = join(t.testdir(), 'release.key');
  t.equal(readGuarded(path), undefined, 'one that is not there is no fault');
  writeGuarded(path, 'a secret');
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o601, 0o666]) {
    chmodSync(path, mode);
    t.throws(
      () => readGuarded(path),
      { code: 'key_too_open', message: path, next: /chmod 600/ },
      mode.toString(8),
    );
  }
  chmodSync(path, 0o400);
  t.equal(readGuarded(path), 'a secret');
});

t.test('a link to a secret is not followed', async (t) => {
  const dir = t.testdir();
  writeGuarded(join(dir, 'there'), 'a secret');
  symlinkSync('there', join(dir, 'release.key'));
  t.throws(() => readGuarded(join(dir, 'release.key')), { code: 'ELOOP' });
});

t.test('a file of somebody else', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const path = join(t.testdir(), 'release.key');
  writeFileSync(path, 'a secret', { mode: 0o600 });
  chownSync(path, 1234, 1234);
  t.throws(() => readGuarded(path), { code: 'key_too_open', message: /uid 1234/ });
});
