/** A room that another user has to itself: what goes in, what comes out, and what does not. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { findSudo, sudoPrefix } from '@fleet/process/sudo.ts';
import { findUser } from '@fleet/process/user.ts';
import t from 'tap';
import { clearRoomsOf, roomBySudo } from './roomBySudo.ts';

const SKIP = userInfo().uid !== 0 ? 'needs root' : findSudo() === undefined ? 'needs sudo' : false;

t.test('trees are copied, each side by its own user', { skip: SKIP }, async (t) => {
  const user = (await findUser('nobody'))!;
  const outside = mkdtempSync(join(tmpdir(), 'fleet-room-'));
  t.teardown(() => rmSync(outside, { recursive: true, force: true }));
  const [own, dir] = [join(outside, 'own'), join(outside, 'rooms')];
  mkdirSync(join(own, 'tree'), { recursive: true, mode: 0o700 });
  mkdirSync(dir);
  chmodSync(outside, 0o711);
  chownSync(dir, user.uid, user.gid);
  writeFileSync(join(own, 'secret'), 'a canary', { mode: 0o600 });
  writeFileSync(join(own, 'tree/program'), 'built', { mode: 0o700 });
  symlinkSync('program', join(own, 'tree/link'));

  const room = await roomBySudo({ user, dir }, own, 'web');
  const as = (script: string) =>
    execFileSync('/usr/bin/env', [...sudoPrefix('nobody', { environment: false }), 'sh', '-c', script], {
      cwd: room.seen,
      encoding: 'utf8',
    });
  await room.give('tree');
  t.equal(lstatSync(join(room.seen, 'tree/program')).uid, user.uid);
  as(
    'cd tree && umask 077 && mkdir -p made/deep && echo more >made/deep/file && chmod -R a-w made && rm link',
  );
  await room.takeBack('tree');
  const back = (name: string) => join(own, 'tree', name);
  t.equal(readFileSync(back('made/deep/file'), 'utf8'), 'more\n');
  t.match(lstatSync(back('made')), { uid: userInfo().uid });
  t.ok(lstatSync(back('program')).mode & 0o100);
  t.throws(() => readlinkSync(back('link')), 'what the build removed is gone');

  as(`ln -s ${own}/secret tree/leads`);
  await room.takeBack('tree');
  t.equal(readlinkSync(back('leads')), join(own, 'secret'), 'a link stays one');
  as('echo x >tree/closed && chmod 0 tree/closed');
  await t.rejects(room.takeBack('tree'), { code: 'build_failed', message: /closed/ });
  as(`mv tree away && ln -s ${own} tree`);
  await t.rejects(room.takeBack('tree'), { code: 'build_failed', message: /handed over: [\s\S]*denied/ });
  t.notOk(readdirSync(join(own, 'tree')).includes('secret'), 'nothing is read that the user cannot read');

  await room.remove();
  t.strictSame(readdirSync(dir), [], 'whatever rights its folders had');
  await roomBySudo({ user, dir }, own, 'left');
  await clearRoomsOf({ user, dir });
  t.strictSame(readdirSync(dir), [], 'nor what a controller left that was killed');
  await clearRoomsOf({ user, dir });
});
