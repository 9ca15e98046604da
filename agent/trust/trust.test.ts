/** What a host that has joined refuses, whatever its controller says. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Code } from '@fleet/protocol/errors.ts';
import { writeGuarded } from '@fleet/trust/guarded.ts';
import { makeSigningKey } from '@fleet/trust/keys.ts';
import t, { type Test } from 'tap';
import { makeHome, manifestPath, partPath, sealedPath, signaturePath } from '../releases/layout.ts';
import { openRig, type Rig } from '../rig.fixture.ts';
import { Signers } from './signers.fixture.ts';
import { openTrust, UNSIGNED } from './trust.ts';

/** A service whose every command leaves a mark beside its release. */
function marking(name: string) {
  const touch = (what: string) => ({ command: ['touch', `../../../${name}-${what}`] });
  return {
    run: { supervisor: 'process', command: ['node', '-e', 'setInterval(() => {}, 1000)'] },
    hooks: { before_start: touch('before_start'), before_stop: touch('before_stop') },
    once: [{ name: 'migrate', ...touch('migrate') }],
    smoke: [{ name: 'marks', kind: 'command', ...touch('smoke') }],
  };
}

async function joined(t: Test): Promise<{ rig: Rig; signers: Signers; marks(): string[] }> {
  const rig = await openRig(t, { policy: { run_as: { '*': 'self' }, root_hooks: true } });
  const signers = new Signers();
  signers.join(rig.data);
  await rig.start();
  const marks = () => readdirSync(rig.root).filter((name) => name.includes('-'));
  return { rig, signers, marks };
}

t.test('a release that is not signed by who may is refused before anything of it is received', async (t) => {
  const { rig, signers } = await joined(t);
  const { controller } = rig;
  const built = await rig.build('web', '1', marking('web'), { file: 'one' });
  const other = await rig.build('web', '1', marking('evil'), { file: 'one' });
  const refused = async (offered: typeof built, message: RegExp) => {
    await t.rejects(controller.offer(offered), { code: 'not_signed', message });
    t.notOk(existsSync(rig.home('web').directory), 'nothing was made for it');
  };
  await refused(built, /web-1 refuses web 1: it is not signed/);
  await refused(signers.sign(built, { by: makeSigningKey() }), /may not sign/);
  const forged = { ...signers.signature(built), key: 'f'.repeat(64) };
  await refused({ ...built, offer: { ...built.offer, signed: forged } }, /may not sign/);
  const moved = { ...other, offer: { ...other.offer, signed: signers.signature(built) } };
  await refused(moved, /its manifest is not the one that was signed/);
  const later = signers.signature(built);
  const postdated = { ...later, statement: { ...later.statement, signedAt: 9_999_999 } };
  await refused({ ...built, offer: { ...built.offer, signed: postdated } }, /its signature is not good/);
  const sibling = signers.signature(await rig.build('web', '2', marking('web'), { file: 'one' }));
  await refused({ ...built, offer: { ...built.offer, signed: sibling } }, /its signature is that of web 2/);
  t.match(await controller.stage(signers.sign(built)), { state: 'wanted' }, 'and a good one is taken');
});

t.test(
  'what is executed is what was signed: a manifest that was changed on the disk runs nothing',
  async (t) => {
    const { rig, signers, marks } = await joined(t);
    const { controller } = rig;
    const built = signers.sign(await rig.build('web', '1', marking('web'), { file: 'one' }));
    await controller.stage(built);
    const home = rig.home('web');
    const { service, version } = built.manifest;
    const good = readFileSync(manifestPath(home, version), 'utf8');
    const bad = good.replaceAll('/web-', '/evil-');
    writeFileSync(manifestPath(home, version), bad);
    const sealed = readFileSync(sealedPath(home, version), 'utf8');
    writeFileSync(sealedPath(home, version), sealed.replaceAll('/web-', '/evil-'));
    const command = () => controller.command();
    const attempts: Array<() => Promise<unknown>> = [
      () => controller.activate(built),
      () =>
        controller.ask('step.once', { command: command(), service, version, name: 'migrate', values: {} }),
      () => controller.ask('check.smoke', { service, version, values: {}, skip: [], onceOnly: true }),
      () => controller.restart(built),
    ];
    for (const attempt of attempts) await t.rejects(attempt(), { code: 'not_signed' });
    t.strictSame(marks(), []);

    writeFileSync(manifestPath(home, version), good);
    for (const attempt of attempts) await attempt();
    t.strictSame(
      marks().sort(),
      ['web-before_start', 'web-migrate', 'web-smoke'],
      'the sealed copy beside it is not asked',
    );

    writeFileSync(manifestPath(home, version), bad);
    await t.rejects(controller.ask('step.stop', { command: command(), service }), { code: 'no_release' });
    t.match(await controller.ask('step.report', { service }), { state: 'unknown' });
    writeFileSync(manifestPath(home, version), good);
    t.match(await controller.ask('step.stop', { command: command(), service }), { changed: true });
    t.notOk(marks().some((name) => name.startsWith('evil')));
  },
);

t.test('what lies in staging without a signature becomes no release', async (t) => {
  const { rig, signers } = await joined(t);
  const { controller } = rig;
  const built = await rig.build('web', '1', marking('web'), { file: 'one' });
  const home = rig.home('web');
  await makeHome(home);
  for (const part of ['manifest', 'artifact'] as const)
    cpSync(built.paths[part], partPath(home, '1', part, built.offer[part].sha256));
  const { service, version, identity } = built.manifest;
  const commit = () =>
    controller.ask('release.commit', { command: controller.command(), service, version, identity });
  await t.rejects(commit(), { code: 'not_signed' });
  t.match(await controller.stage(signers.sign(built)), { state: 'wanted' });
});

t.test(
  'floors rise and never fall; what is below is not activated, and what is above may be gone back to',
  async (t) => {
    const { rig, signers } = await joined(t);
    const { controller } = rig;
    const [one, two, three] = await Promise.all(
      ['1', '2', '3'].map(async (version) =>
        signers.sign(await rig.build('web', version, marking('web'), { file: version }), {
          at: Number(version) * 1000,
        }),
      ),
    );
    for (const built of [one!, two!, three!]) {
      await controller.stage(built);
      await controller.activate(built);
    }
    const update = (floors: ReturnType<Signers['floor']>[]) =>
      controller.ask('trust.update', { trust: signers.trust(1), floors, releases: [] });
    await t.rejects(update([signers.floor('web', '2', 2000, makeSigningKey())]), { code: 'not_signed' });
    await update([signers.floor('web', '2', 2000)]);
    await t.rejects(controller.activate(one!), { code: 'below_floor', message: /older than 2/ });
    await t.rejects(controller.offer(one!), { code: 'below_floor' });
    t.match(await controller.activate(two!), { changed: true });
    await t.rejects(update([signers.floor('web', '1', 1000)]), { code: 'trust_lowered' });

    await rig.kill('SIGKILL');
    const hello = await rig.start();
    t.match(
      hello.trust,
      { serial: 1, level: 'L0', floors: { web: 2000 } },
      'the next life says what it holds to',
    );
    await t.rejects(controller.activate(one!), { code: 'below_floor' });
  },
);

t.test('who may sign is changed by the root key alone, never back, and never to a lower level', async (t) => {
  const { rig, signers } = await joined(t);
  const { controller } = rig;
  const unsigned = await rig.build('web', '1', marking('web'), { file: 'one' });
  const built = signers.sign(unsigned);
  await controller.stage(built);
  await controller.activate(built);
  const next = makeSigningKey();
  const ask = (trust: ReturnType<Signers['trust']>, releases = [] as ReturnType<Signers['signature']>[]) =>
    controller.ask('trust.update', { trust, floors: [], releases });
  const refused = (trust: ReturnType<Signers['trust']>, code: Code) => t.rejects(ask(trust), { code });

  await refused(signers.trust(2, { keys: [next], by: makeSigningKey() }), 'not_signed');
  await refused(signers.trust(2, { keys: [next], by: signers.release }), 'not_signed');
  await refused(signers.trust(1, { keys: [next] }), 'trust_lowered');
  t.match(await ask(signers.trust(3, { level: 'L1b', keys: [next] })), { serial: 3 });
  await refused(signers.trust(2, { level: 'L1b' }), 'trust_lowered');
  await refused(signers.trust(4, { level: 'L0' }), 'trust_lowered');

  await t.rejects(
    controller.activate(built),
    { code: 'not_signed' },
    'a retired key vouches for nothing any more',
  );
  await t.rejects(controller.offer(built), { code: 'not_signed' });
  await t.rejects(controller.restart(built), { code: 'not_signed' });
  const anew = signers.signature(unsigned, { by: next });
  const wrong = { ...anew, signature: signers.signature(unsigned).signature };
  await ask(signers.trust(3, { level: 'L1b', keys: [next] }), [wrong]);
  await t.rejects(controller.activate(built), { code: 'not_signed' });
  await ask(signers.trust(3, { level: 'L1b', keys: [next] }), [anew]);
  t.match(await controller.activate(built), { changed: false }, 'signed anew it is good again');

  await rig.kill('SIGKILL');
  t.match((await rig.start()).trust, { serial: 3, level: 'L1b' });
  await refused(signers.trust(4, { level: 'L0' }), 'trust_lowered');
});

t.test('what runs is stopped and shown although its key was retired meanwhile', async (t) => {
  const { rig, signers, marks } = await joined(t);
  const { controller } = rig;
  const built = signers.sign(await rig.build('web', '1', marking('web'), { file: 'one' }));
  await controller.stage(built);
  await controller.activate(built);
  await controller.restart(built);
  const trust = signers.trust(2, { keys: [makeSigningKey()] });
  await controller.ask('trust.update', { trust, floors: [], releases: [] });
  t.match(await controller.ask('step.report', { service: 'web' }), { state: 'running', running: '1' });
  t.match(await controller.ask('step.stop', { command: controller.command(), service: 'web' }), {
    changed: true,
  });
  t.ok(marks().includes('web-before_stop'));
});

t.test('signatures do not outlive their release, nor an offer that nothing followed', async (t) => {
  const { rig, signers } = await joined(t);
  const built = signers.sign(await rig.build('web', '1', marking('web'), { file: 'one' }));
  await rig.controller.stage(built);
  const home = rig.home('web');
  t.ok(existsSync(signaturePath(home, '1')));
  writeFileSync(signaturePath(home, '7'), '{}');
  await rig.kill('SIGKILL');
  await rig.start();
  t.strictSame(readdirSync(home.signatures), ['1.json']);
});

t.test('a folder of trust that is not whole lets no agent go on as if it had never joined', async (t) => {
  const signers = new Signers();
  const data = t.testdir();
  const open = () => openTrust(join(data, 'trust'), 'web-1');
  t.equal(open(), UNSIGNED);
  signers.join(data, signers.trust(1, { by: makeSigningKey() }));
  t.throws(open, { code: 'not_enrolled', message: /not signed by its root key/ });
  signers.join(data);
  t.match(open().says(), { serial: 1 });
  writeGuarded(join(data, 'trust/floors.json'), '{');
  t.throws(open, { code: 'not_enrolled', message: /floors.json is damaged/ });
});
