import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { takeDataDirectory } from './data.ts';

t.test('what an agent left that died while it wrote is removed', async (t) => {
  const path = t.testdir({ 'epochs.json': '{}', 'epochs.json.abcdefghijkl.tmp': '{' });
  const data = await takeDataDirectory(path);
  t.teardown(() => data.release());
  t.strictSame(readdirSync(path).sort(), ['epochs.json', 'instance', 'lock']);
});

t.test('a lock that a power cut left empty belongs to nobody', async (t) => {
  const path = t.testdir();
  writeFileSync(join(path, 'lock'), '');
  const data = await takeDataDirectory(path);
  t.teardown(() => data.release());
  await t.rejects(takeDataDirectory(path), { code: 'data_in_use' }, 'and the next one to somebody');
});

t.test(
  'it is closed to others, and the folders above it are not: services of other users run there',
  async (t) => {
    const root = join(t.testdir(), 'fleet');
    const data = await takeDataDirectory(join(root, '.agent'));
    t.teardown(() => data.release());
    const modeOf = (path: string) => statSync(path).mode & 0o777;
    t.equal(modeOf(join(root, '.agent')), 0o700);
    t.equal(modeOf(root), 0o755);
  },
);
