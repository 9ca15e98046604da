/** The contract, with a supervisord that sees its own /etc and /usr/local/lib alone: started by supervisord.test.ts. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eventually } from '@fleet/process/ending.ts';
import { findSudo } from '@fleet/process/sudo.ts';
import { findUser } from '@fleet/process/user.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { LAUNCH } from '@fleet/units/launch.ts';
import { PLACES, script } from '@fleet/units/places.ts';
import { programLog, supervisordProgram } from '@fleet/units/program.ts';
import { SUDOERS, sudoers } from '@fleet/units/sudoers.ts';
import t from 'tap';
import { checkSupervisor, forgetBoot } from './contract.ts';
import { supervisorFor } from './kinds.ts';

const root = process.argv[2]!;
const directory = join(root, 'sample');
const PROGRAM = 'fleet-sample';
const SOCKET = join(root, 'supervisor.sock');
const STAYS = 'echo $$ > pid; sleep 600; true';
const COMMANDS = {
  works: ['sh', '-c', STAYS, '${VERSION}'],
  stubborn: ['sh', '-c', `trap "" TERM; ${STAYS}`, '${VERSION}'],
  fails: ['sh', '-c', 'echo cannot work; exit 4'],
};
const run = (command: string[]): RunOf<'supervisord'> => ({
  supervisor: 'supervisord',
  program: PROGRAM,
  command,
  environment: {},
  within: 20_000,
});

mkdirSync(directory, { recursive: true });
mkdirSync(PLACES.scripts, { recursive: true });
writeFileSync(script('launch'), LAUNCH);
chmodSync(script('launch'), 0o755);
const program = supervisordProgram({ program: PROGRAM, service: 'sample', user: 'nobody', root });
writeFileSync(
  '/etc/supervisor/supervisord.conf',
  `[unix_http_server]
file=${SOCKET}
[supervisord]
logfile=${join(root, 'supervisord.log')}
pidfile=${join(root, 'supervisord.pid')}
childlogdir=${root}
user=root
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${SOCKET}
${program.replace('autostart=true', 'autostart=false\nstartretries=0').replace('stopwaitsecs=10', 'stopwaitsecs=1')}`,
);
const supervisord = spawn('supervisord', ['-n', '-c', '/etc/supervisor/supervisord.conf'], {
  stdio: 'ignore',
});
t.teardown(async () => {
  supervisord.kill();
  if (supervisord.exitCode === null) await once(supervisord, 'exit');
});
await eventually(() => existsSync(SOCKET), 20_000);
const user = await findUser('nobody');

t.test('contract', async (t) =>
  checkSupervisor(t, {
    supervisor: supervisorFor(run([])),
    run: (program) => run(COMMANDS[program]),
    place: { directory, user: user! },
    // Supervisord tells nobody but its own log how a program ended.
    failure: {
      code: 'start_failed',
      message: /sample 1\.0\.0 did not start: FATAL/,
      data: { output: { text: /cannot work\n/ } },
    },
    async reboot(home) {
      execFileSync('supervisorctl', ['stop', PROGRAM], { stdio: 'ignore' });
      forgetBoot(home);
    },
  }),
);

/** Only where there is sudo. The users and rules of this mount namespace are its own. */
t.test('an agent that is no root comes to it by exactly its rules', { skip: !findSudo() }, async (t) => {
  for (const [name, mode, line] of [
    ['passwd', 0o644, 'fleet:x:64999:64999::/:/usr/sbin/nologin'],
    ['shadow', 0o600, 'fleet:!:20000::::::'],
  ] as const) {
    writeFileSync(join(root, name), `${readFileSync(`/etc/${name}`, 'utf8')}${line}\n`, { mode });
    execFileSync('mount', ['--bind', join(root, name), `/etc/${name}`]);
  }
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'none', dirname(SUDOERS)]);
  writeFileSync(SUDOERS, sudoers({ users: ['nobody'], units: [], programs: [PROGRAM] }), { mode: 0o440 });
  const asAgent = (...argv: string[]) =>
    spawnSync('setpriv', ['--reuid', '64999', '--regid', '64999', '--clear-groups', ...argv], {
      encoding: 'utf8',
    });
  const ctl = (...argv: string[]) => asAgent('sudo', '-n', '/usr/bin/supervisorctl', ...argv).stdout;
  t.match(ctl('status', PROGRAM), /^fleet-sample +STOPPED/);
  for (const argv of [['shutdown'], ['stop', 'all'], ['status'], ['start', PROGRAM, 'other']])
    t.equal(ctl(...argv), '', argv.join(' '));
  t.not(asAgent('supervisorctl', 'status', PROGRAM).status, 0, 'its socket is root’s');
});

t.test('a program that nobody has made is missed by name', async (t) => {
  const instance = { ...run([]), program: 'not-there' };
  await t.rejects(
    async () => supervisorFor(instance).require?.({ host: 'here', service: 'sample', run: instance }),
    {
      code: 'not_provisioned',
      message: /no program not-there of supervisord/,
    },
  );
  t.ok(existsSync(programLog(PROGRAM)));
});
