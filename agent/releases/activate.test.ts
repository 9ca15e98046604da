import { mkdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import t from 'tap';
import { UNSIGNED } from '../trust/trust.ts';
import { activateRelease, readActivations } from './activate.ts';
import { openJournal } from './journal.ts';
import { homeOf, makeHome, releaseDirectory, sealedPath } from './layout.ts';

const SEALED = { service: 'web', run: { supervisor: 'process', command: ['web'] } };
const FLEET = '00000000-0000-4000-8000-000000000001';

t.test('an activation that is interrupted behind the switch still says where it came from', async (t) => {
  const root = t.testdir();
  const home = homeOf(root, 'web');
  await makeHome(home);
  for (const version of ['1', '2']) {
    await mkdir(releaseDirectory(home, version));
    await writeFile(
      sealedPath(home, version),
      JSON.stringify({ identity: version.repeat(64), sealed: SEALED }),
    );
  }
  const activate = async (version: string, clock: () => number) => {
    const command = { id: `activate-${version}`, fleet: FLEET, epoch: 1, why: 'a test' };
    const request = { command, service: 'web', version, identity: version.repeat(64) };
    const journal = await openJournal(join(root, '.journal'), Date.now);
    return journal.perform(command, 'activate', (entry) =>
      activateRelease(home, request, entry, { clock, trust: UNSIGNED }),
    );
  };
  await activate('1', () => 0);

  let looks = 0;
  const interrupted = activate('2', () => {
    if (++looks === 2) throw new FleetError('stopping', 'interrupted');
    return 0;
  });
  await t.rejects(interrupted, { code: 'stopping' });
  t.equal(await readlink(home.current), 'releases/2');
  t.strictSame(await readActivations(home), ['1']);

  t.strictSame(await activate('2', () => 0), { from: '1', changed: true, switchMs: 0 });
  t.strictSame(await readActivations(home), ['2', '1']);
});
