/** A real supervisord, which only root can have: in a mount namespace of its own, so that nothing of it is seen outside. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';

const FIXTURE = new URL('supervisord.fixture.ts', import.meta.url).pathname;
const PRIVATE = `
for each in /etc/supervisor /var/log/supervisor /usr/local/lib; do mkdir -p $each; mount -t tmpfs -o mode=755 none $each; done
exec "$@"`;

function whyNotHere(): string | false {
  const here = (...argv: string[]) => spawnSync('sh', ['-c', 'command -v "$0"', ...argv]).status === 0;
  const why = process.getuid?.() !== 0 ? 'needs root' : here('supervisord') ? undefined : 'needs supervisord';
  if (why !== undefined && process.env.CI === 'true') throw new Error(why);
  return why ?? false;
}

t.test('contract', { skip: whyNotHere() }, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'fleet-supervisord-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  const inside = ['--mount', 'sh', '-c', PRIVATE, 'sh', process.execPath, FIXTURE, root];
  const { status, stdout, stderr } = spawnSync('unshare', inside, { encoding: 'utf8', timeout: 120_000 });
  t.equal(status, 0) || t.comment(stdout + stderr);
});
