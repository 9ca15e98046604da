/** `fleet controller install` on a machine that has nothing but Debian: from its bundle to a controller that survives a reboot. */
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { fleetConfig, RealFleet } from '../../scripts/machines/realFleet.ts';
import { controllerBundle } from '../fixtures/controllerBundle.ts';
import { skipWithoutMachines } from '../fixtures/machines.ts';

t.setTimeout(240_000);
const UNIT = 'fleet-controller';
const PROGRAMS = '/usr/local/lib/fleet-controller';

/** A build that looks for keys, leaves processes and files that are hard to remove, and writes down what it saw. */
const LOOK = `
umask 077
{
  echo "who $(id -un)"
  cat /var/lib/fleet-controller/trust/* >stolen 2>/dev/null && echo 'trust yes' || echo 'trust no'
  ln -s /var/lib/fleet-controller/trust keys
  sudo -n true 2>/dev/null && echo 'sudo yes' || echo 'sudo no'
  [ -e /proc/1 ] && echo 'processes all' || echo 'processes its own'
} >found
mkdir -p closed/deep && echo x >closed/deep/x && chmod -R a-w closed
setsid sleep 4001 &
env -i setsid sleep 4002 &
`;

/** Builds that would have the controller read its own keys for them. */
const SWAPS = {
  'a link in the place of the tree': 'mv ../tree ../away && ln -s /var/lib/fleet-controller/trust ../tree',
  'a link in the tree': 'ln -s /var/lib/fleet-controller/trust more',
};

/** What the build has written down, as its package has it. */
function foundBy(sh: (script: string) => { stdout: string }): Record<string, string> {
  const packed = '/var/lib/fleet-controller/artifacts/my-service/*.tar.gz';
  const lines = sh(`tar -xOf ${packed} --wildcards '*found'`).stdout.trim().split('\n');
  const listed = sh(`tar -tvf ${packed}`).stdout;
  const through = /keys/.test(listed) ? 'yes' : 'no';
  const words = lines.map((line) => [line.split(' ')[0]!, line.slice(line.indexOf(' ') + 1)] as const);
  return { ...Object.fromEntries(words), through };
}

t.test('from nothing to a controller', { skip: skipWithoutMachines(), timeout: 240_000 }, async (t) => {
  const fleet = await RealFleet.create({ hosts: ['box'], config: fleetConfig });
  t.teardown(() => fleet.remove());
  const [bundle] = await Promise.all([controllerBundle(fleet.dir, () => {}), fleet.boot('box')]);
  const box = fleet.machine('box');
  const inside = (path: string) => join(box.root, path);
  cpSync(bundle, inside('opt/fleet'), { recursive: true });
  const sh = (script: string) => box.run(['sh', '-c', script]);
  const install = (...flags: string[]) =>
    box.run(['env', 'SUDO_USER=ann', '/opt/fleet/fleet', 'controller', 'install', ...flags]);
  const asAnn = (...argv: string[]) => box.run(['runuser', '-u', 'ann', '--', 'fleet', ...argv]);
  const isActive = () => sh(`systemctl is-active ${UNIT}`).stdout.trim();
  sh('useradd -m ann');

  const dry = install('--dry-run');
  t.equal(dry.code, 0, dry.stderr);
  t.match(dry.stdout, /^would make the user fleet-controller/m);
  t.match(dry.stdout, /^nothing was done/m);
  t.equal(sh('getent passwd fleet-controller').stdout, '', 'a dry run leaves nothing behind');
  for (const path of ['etc/fleet', 'usr/local/lib/fleet-controller', 'var/lib/fleet-controller'])
    t.notOk(existsSync(inside(path)), path);
  t.match(box.run(['runuser', '-u', 'ann', '--', '/opt/fleet/fleet', 'controller', 'install']), {
    code: 2,
    stderr: /needs root[\s\S]*sudo fleet controller install/,
  });

  const began = performance.now();
  const done = install();
  t.equal(done.code, 0, done.stdout + done.stderr);
  t.comment(`installed and answering after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  t.match(done.stdout, /the controller answers at https:\/\/127\.0\.0\.1:7300/);
  t.match(done.stdout, /next:\n {2}fill in \/etc\/fleet\/controller\.yaml/);
  const said = dry.stdout.split('\n').filter((line) => line.startsWith('would '));
  for (const line of said) t.ok(done.stdout.includes(line.slice('would '.length)), line);
  t.equal(isActive(), 'active');
  t.equal(sh(`systemctl is-enabled ${UNIT}`).stdout.trim(), 'enabled');
  t.match(sh(`ps -o user:20= -p $(systemctl show -P MainPID ${UNIT})`).stdout, /^fleet-controller/);
  t.match(asAnn('whoami').stdout, /ann/);
  t.equal(sh('stat -c %U:%a /home/ann/.config/fleet/login.json').stdout.trim(), 'ann:600');
  t.notOk(existsSync(inside('etc/fleet/.login')));
  t.equal(sh('stat -c %U:%G:%a /etc/sudoers.d/fleet-controller').stdout.trim(), 'root:root:440');
  const may = sh('sudo -l -U fleet-controller').stdout;
  t.match(may, /\(fleet-build\) SETENV: NOPASSWD: ALL/);
  t.equal(may.match(/^ +\(/gm)?.length, 1, 'and nothing as root');
  t.match(asAnn('status').stdout, /^builds run as fleet-build, who can read neither/m);
  t.equal(
    sh('stat -c %U:%G:%a /var/lib/fleet-controller').stdout.trim(),
    'fleet-controller:fleet-controller:700',
  );
  t.equal(sh('find /var/lib/fleet-controller ! -user fleet-controller').stdout, '');
  t.equal(sh(`find ${PROGRAMS} -perm /022 ! -type l`).stdout, '', 'nobody but root can change the program');
  t.not(
    sh('runuser -u fleet-controller -- cat /etc/fleet/fleet-root.key').code,
    0,
    'the root key is not its',
  );
  t.match(sh(`systemd-analyze security --no-pager ${UNIT} | tail -1`).stdout, /[0-6]\.\d MEDIUM/);
  t.comment(sh(`systemd-analyze security --no-pager ${UNIT} | tail -1`).stdout.trim());

  t.match(install(), { code: 0, stdout: /^nothing to do/ });
  sh(
    `systemctl disable ${UNIT}; chown root /var/lib/fleet-controller/fleet.sqlite; echo '# mine' >> /etc/systemd/system/${UNIT}.service`,
  );
  const repaired = install();
  t.equal(repaired.code, 0, repaired.stderr);
  t.match(
    repaired.stdout.split('\n').slice(0, 5),
    [/^give /, /^change /, /^enable /, /^restart /, /^the controller answers/],
    'it does what is not so any more, and says it',
  );

  await t.test('a build in it, and a backup', async (t) => {
    mkdirSync(inside('opt/app'));
    writeFileSync(
      inside('opt/app/fleet.yaml'),
      'service: my-service\nbuild: { command: [sh, look.sh] }\npackage: { compression: gzip, exclude: [keys], test: { command: [sh, -c, "test $(id -un) = fleet-build"] } }\nrun: { supervisor: process, command: [sleep, inf] }\n',
    );
    writeFileSync(inside('opt/app/look.sh'), LOOK);
    const yaml = inside('etc/fleet/controller.yaml');
    writeFileSync(yaml, readFileSync(yaml, 'utf8').replace(/^ {6}git: .*$/m, '      directory: /opt/app'));
    sh(`systemctl restart ${UNIT}`);
    await waitUntil('it answers', () => asAnn('status').code === 0);
    const built = asAnn('build', 'my-service');
    t.equal(built.code, 0, built.stdout + built.stderr);
    const found = foundBy(sh);
    t.equal(found.who, 'fleet-build');
    t.equal(found.trust, 'no', 'no key is in its sight');
    t.equal(found.through, 'no', 'nor is anything of them in the package');
    t.equal(found.sudo, 'no', 'and it gets no other rights');
    t.equal(found.processes, 'its own', 'nor sees whoever else runs');
    await t.test('nothing of it stays', async (t) => {
      t.equal(
        sh('ls -A /var/lib/fleet-controller.builds /var/lib/fleet-controller/work').stdout.match(
          /my-service/,
        ),
        null,
      );
      t.equal(
        sh('ps -o args= -u fleet-build').stdout,
        '',
        'not what left its group, nor what took its mark off',
      );
    });
    for (const [way, script] of Object.entries(SWAPS)) {
      writeFileSync(inside('opt/app/look.sh'), script);
      const { code, stdout, stderr } = asAnn('build', 'my-service');
      t.equal(code, 1, way);
      t.match(stdout + stderr, /cannot be handed over|is a link to|something else in the place/, way);
    }
    t.match(asAnn('backup', '/var/backups/fleet/first'), { code: 0 });
    t.ok(existsSync(inside('var/backups/fleet/first/fleet.sqlite')));
    t.not(asAnn('backup', '/srv/elsewhere').code, 0, 'all else is read-only to it');
  });

  await t.test('without its rule, builds run as the controller, and that is said', async (t) => {
    sh(`rm /etc/sudoers.d/fleet-controller; systemctl restart ${UNIT}`);
    await waitUntil('it answers', () => asAnn('status').code === 0);
    t.match(
      asAnn('status').stdout,
      /^builds run as fleet-controller, .*no rule of sudo lets fleet-controller run builds as fleet-build.*its keys too/m,
    );
    t.match(install().stdout, /^write \/etc\/sudoers\.d\/fleet-controller/);
    await waitUntil('it answers', () => asAnn('status').stdout.includes('builds run as fleet-build'));
  });

  await t.test('another bundle, and a reboot', async (t) => {
    const before = sh(`readlink ${PROGRAMS}/current`).stdout.trim();
    appendFileSync(inside('opt/fleet/LICENSE'), '\n');
    const upgraded = install();
    t.equal(upgraded.code, 0, upgraded.stderr);
    t.match(upgraded.stdout, /^put 0\.1\.0-[0-9a-f]{12} into[\s\S]*^current is[\s\S]*^restart /m);
    const after = sh(`readlink ${PROGRAMS}/current`).stdout.trim();
    t.not(after, before);
    t.match(sh(`readlink /proc/$(systemctl show -P MainPID ${UNIT})/exe`).stdout, after);
    t.ok(existsSync(inside(join(PROGRAMS, before))), 'the one before it is kept');
    t.match(
      sh('fleet controller install'),
      { code: 0, stdout: /^nothing to do/ },
      'run by what is installed',
    );
    await box.reboot();
    await waitUntil('it answers by itself', () => asAnn('status').code === 0);
  });

  await t.test('what keeps it from starting is said', async (t) => {
    sh(`systemctl stop ${UNIT}`);
    sh(
      `systemd-run --unit=squatter ${PROGRAMS}/current/bin/node -e 'require("net").createServer().listen(7300)'`,
    );
    await waitUntil('the port is taken', () => sh('ss -ltn').stdout.includes(':7300'));
    t.match(install(), {
      code: 1,
      stderr: /does not answer[\s\S]*another program listens on[\s\S]*next: journalctl/,
    });
    sh('systemctl stop squatter');
    const yaml = inside('etc/fleet/controller.yaml');
    appendFileSync(yaml, 'nonsense: 1\n');
    t.match(install(), { code: 2, stderr: /nonsense/ });
    writeFileSync(yaml, readFileSync(yaml, 'utf8').replace('nonsense: 1\n', ''));
    t.equal(install().code, 0);
  });

  await t.test('gone, and back', async (t) => {
    const key = sh('sha256sum /var/lib/fleet-controller/trust/ca.key').stdout;
    t.match(install('--uninstall', '--dry-run').stdout, /^would stop/);
    t.equal(isActive(), 'active');
    t.match(install('--uninstall'), {
      code: 0,
      stdout: /what stays[\s\S]*rm -r \/var\/lib\/fleet-controller/,
    });
    t.equal(isActive(), 'inactive');
    t.equal(sh('getent passwd fleet-build').stdout, '');
    for (const path of ['/etc/sudoers.d/fleet-controller', '/var/lib/fleet-controller.builds'])
      t.notOk(existsSync(inside(path)), path);
    for (const path of [PROGRAMS, `/etc/systemd/system/${UNIT}.service`, '/usr/local/bin/fleet'])
      t.notOk(existsSync(inside(path)), path);
    t.match(install('--uninstall').stdout, /^nothing to do/);
    t.equal(install().code, 0);
    t.equal(sh('sha256sum /var/lib/fleet-controller/trust/ca.key').stdout, key, 'it is the same fleet');
    t.match(asAnn('whoami').stdout, /ann/);
  });
  rmSync(bundle, { recursive: true });
});
