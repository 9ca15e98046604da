import { chmodSync, chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { requireOwnPlace } from './place.ts';

function place(t: Test): { above: string; root: string } {
  const above = realpathSync(mkdtempSync(join(tmpdir(), 'fleet-place-')));
  t.teardown(() => rmSync(above, { recursive: true }));
  const root = join(above, 'root');
  mkdirSync(root);
  return { above, root };
}

t.test('a folder of the agent’s own, also below one like /tmp', async (t) => {
  const { above, root } = place(t);
  await requireOwnPlace('root', root);
  chmodSync(above, 0o1777);
  await requireOwnPlace('root', root);
});

t.test('a folder that others may write to, or one above it', async (t) => {
  for (const [which, mode] of [
    ['root', 0o777],
    ['root', 0o1777],
    ['above', 0o777],
  ] as const) {
    const places = place(t);
    chmodSync(places[which], mode);
    await t.rejects(requireOwnPlace('root', places.root), {
      code: 'bad_config',
      message: `root: ${places[which]} may be written by others (mode ${mode.toString(8)}), who could put something in the place of what the agent runs`,
      next: new RegExp(`chmod go-w ${places[which]}`),
    });
  }
});

t.test(
  'a folder above it that is somebody else’s',
  { skip: process.getuid?.() !== 0 && 'only root gives folders away' },
  async (t) => {
    const { above, root } = place(t);
    chownSync(above, 65534, 65534);
    await t.rejects(requireOwnPlace('data', root), {
      code: 'bad_config',
      message: /^data: .* belongs to user 65534/,
    });
  },
);
