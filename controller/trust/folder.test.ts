/** What a controller starts with, and what it does not start with. */
import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openTrust, refuseKeys, TRUST_FILES, trustFolder } from './folder.ts';
import { hasTrust, makeTrust } from './make.ts';

async function made(t: Test) {
  const dir = t.testdir();
  const data = join(dir, 'data');
  await makeTrust(data, join(dir, 'controller.yaml'), Date.now());
  const open = async () => (await openTrust(data, Date.now, 'controller.yaml')).controllerTls();
  return { data, folder: trustFolder(data), open };
}

t.test('keys that others may read are not used', async (t) => {
  const { folder, open } = await made(t);
  t.ok(await open());
  const used = [TRUST_FILES.caKey, TRUST_FILES.controllerKey, TRUST_FILES.ca, TRUST_FILES.controller];
  for (const name of used) {
    const file = join(folder, name);
    chmodSync(file, 0o640);
    await t.rejects(open(), {
      code: 'key_too_open',
      message: new RegExp(name),
      next: new RegExp(`chmod 600 ${file}`),
    });
    chmodSync(file, 0o600);
  }
  chmodSync(folder, 0o750);
  await t.rejects(open(), { code: 'key_too_open', next: new RegExp(`chmod 700 ${folder}`) });
});

t.test('a controller without keys says what makes them', async (t) => {
  const { data, folder, open } = await made(t);
  t.ok(hasTrust(data));
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  t.notOk(hasTrust(data));
  await t.rejects(open(), {
    code: 'not_initialised',
    next: /^fleet init controller --config controller\.yaml/,
  });
});

t.test('a fleet in earnest is not run in development', async (t) => {
  const { data } = await made(t);
  t.throws(() => refuseKeys(data, 'controller.yaml'), { code: 'bad_config', next: /development: true/ });
  t.doesNotThrow(() => refuseKeys(join(data, 'another'), 'controller.yaml'));
});
