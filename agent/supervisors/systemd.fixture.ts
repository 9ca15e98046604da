/** The contract, on a host of its own with a systemd that may be told everything: started there by test/machines/supervisors.test.ts. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findUser } from '@fleet/process/user.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { HALT, LAUNCH } from '@fleet/units/launch.ts';
import { PLACES, script } from '@fleet/units/places.ts';
import { serviceUnit, unitOf } from '@fleet/units/serviceUnit.ts';
import t from 'tap';
import { checkSupervisor, forgetBoot } from './contract.ts';
import { supervisorFor } from './kinds.ts';

const ROOT = '/srv/fleet';
const directory = join(ROOT, 'sample');
const STAYS = 'echo $$ > pid; sleep 600; true';
const COMMANDS = {
  works: ['sh', '-c', STAYS, '${VERSION}'],
  stubborn: ['sh', '-c', `trap "" TERM; ${STAYS}`, '${VERSION}'],
  fails: ['sh', '-c', 'echo cannot work; exit 4'],
};
const run = (command: string[]): RunOf<'systemd'> => ({
  supervisor: 'systemd',
  command,
  notify: false,
  environment: {},
  stop: { signal: 'SIGTERM', grace: 300 },
  within: 20_000,
});

const unit = unitOf('sample');
execFileSync('useradd', ['--system', 'sample']);
mkdirSync(directory, { recursive: true });
mkdirSync(PLACES.scripts, { recursive: true });
for (const [name, text] of [
  ['launch', LAUNCH],
  ['halt', HALT],
] as const) {
  writeFileSync(script(name), text);
  chmodSync(script(name), 0o755);
}
writeFileSync(join(PLACES.units, unit), serviceUnit({ service: 'sample', user: 'sample', root: ROOT }));
execFileSync('systemctl', ['daemon-reload']);
const user = await findUser('sample');

t.test('contract', async (t) =>
  checkSupervisor(t, {
    supervisor: supervisorFor(run([])),
    run: (program) => run(COMMANDS[program]),
    place: { directory, user: user! },
    async reboot(home) {
      execFileSync('systemctl', ['stop', unit]);
      forgetBoot(home);
    },
  }),
);
