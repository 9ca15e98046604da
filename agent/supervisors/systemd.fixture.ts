/** The contract, on a host of its own with a systemd that may be told everything: started there by test/machines/supervisors.test.ts. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@fleet/process/ending.ts';
import { findUser } from '@fleet/process/user.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { HALT, LAUNCH } from '@fleet/units/launch.ts';
import { PLACES, script } from '@fleet/units/places.ts';
import { serviceUnit, unitOf } from '@fleet/units/serviceUnit.ts';
import t from 'tap';
import { checkSupervisor, forgetBoot, instanceIn } from './contract.ts';
import { readJournal } from './journal.ts';
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

const PRINTS = `echo first; while ! [ -e go ]; do sleep 0.05; done
  printf '\\377 is no text\\n'; i=0; while [ $i -lt 4000 ]; do i=$((i + 1)); printf '%0100d\\n' $i; done; touch done; sleep 600`;

t.test('what is printed is read once, whole, and never much at a time', async (t) => {
  const release = join(directory, '3.0.0');
  const instance = instanceIn(directory, '3.0.0', run(['sh', '-c', PRINTS]), user!);
  const supervisor = supervisorFor(instance.run);
  t.same(await readJournal('fleet-never-there.service', { lines: 10 }), { text: '', cursor: 'journal' });
  await supervisor.start(instance);
  t.teardown(() => supervisor.stop(instance));
  let { text, cursor } = await readJournal(unit, { lines: 1000 });
  t.match(text, /\nfirst\n/);
  t.equal((await readJournal(unit, { lines: 1 })).text.split('\n').length, 2);
  t.same(await readJournal(unit, { lines: 1000, after: cursor }), { text: '', cursor }, 'nothing came since');
  writeFileSync(join(release, 'go'), '');
  await eventually(() => existsSync(join(release, 'done')), 20_000);
  text = '';
  let largest = 0;
  await waitUntilRead(async () => {
    const part = await readJournal(unit, { lines: 1000, after: cursor });
    largest = Math.max(largest, Buffer.byteLength(part.text));
    text += part.text;
    cursor = part.cursor;
    return text.includes('4000\n');
  });
  const [odd, ...lines] = text.trimEnd().split('\n');
  t.equal(odd, '\uFFFD is no text');
  t.strictSame(
    lines.map(Number),
    Array.from({ length: 4000 }, (_, index) => index + 1),
  );
  t.ok(largest > 250 * 1024 && largest <= 256 * 1024, `${largest} bytes at most`);
  const end = (await readJournal(unit, { lines: 10_000 })).text;
  t.ok(Buffer.byteLength(end) <= 256 * 1024 && end.endsWith('4000\n'), 'and no more of its end');
});

async function waitUntilRead(read: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + 30_000;
  while (!(await read())) if (performance.now() > until) throw new Error('it was never read');
}
