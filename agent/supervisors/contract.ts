/** What every supervisor must do, whatever it does it with. */
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@fleet/process/ending.ts';
import { bootId, identify, lives, type ProcessIdentity } from '@fleet/process/proc.ts';
import type { User } from '@fleet/process/user.ts';
import type { Run } from '@fleet/protocol/service.ts';
import type { Test } from 'tap';
import { revive } from './revive.ts';
import { running } from './running.ts';
import { wanted } from './spec.ts';
import { readState } from './state.ts';
import type { Instance, Supervisor } from './supervisor.ts';

export interface Subject {
  supervisor: Supervisor;
  /**
   * `works`: writes its process number to `release/pid` and stays. `stubborn`: the same, and does not hear SIGTERM.
   * `fails`: prints "cannot work" and ends with exit status 4.
   */
  run(program: 'works' | 'stubborn' | 'fails'): Instance['run'];
  /** Where it works, and as whom, where what it does it with is told that only once. */
  place?: { directory: string; user: User };
  /** Where it does not hear how a program ended. */
  failure?: { code: string; message: RegExp; data: Record<string, unknown> };
  /** What watches over it is gone, and so is the program. */
  reboot?(home: string, program: ProcessIdentity): Promise<void>;
}

export function instanceIn<R extends Run>(dir: string, version: string, run: R, user?: User): Instance<R> {
  const release = join(dir, version);
  mkdirSync(release, { recursive: true });
  if (user) chownSync(release, user.uid, user.gid);
  return {
    ...(user && { user }),
    host: 'here',
    service: 'sample',
    version,
    release,
    home: join(dir, 'run'),
    run,
    argvOf: (argv) => argv.map((element) => (element === '${VERSION}' ? version : element)),
    secrets: {},
    environment: { PATH: '/usr/bin:/bin', CANARY: 'sung' },
  };
}

/** The process that `works` and `stubborn` have written down. */
export async function processOf({ release }: Instance): Promise<ProcessIdentity> {
  let found: ProcessIdentity | undefined;
  const look = () => {
    try {
      found = identify(Number(readFileSync(join(release, 'pid'), 'utf8')));
    } catch {
      // not yet
    }
    return found !== undefined;
  };
  if (!(await eventually(look, 20_000))) throw new Error(`no process is written down in ${release}/pid`);
  return found!;
}

/** Everything is dead, and what was written down is of an earlier boot. */
export async function reboot(home: string, program: ProcessIdentity): Promise<void> {
  const shim = (await readState(home))?.shim;
  if (shim && lives(shim)) process.kill(shim.pid, 'SIGKILL');
  process.kill(-program.pid, 'SIGKILL');
  await eventually(() => !lives(program), 20_000);
  forgetBoot(home);
}

/** What was written down is of an earlier boot. */
export function forgetBoot(home: string): void {
  for (const name of ['spec.json', 'state.json'])
    rewrite(join(home, name), (text) => text.replaceAll(bootId(), 'an earlier one'));
}

export function rewrite(path: string, change: (text: string) => string): void {
  if (existsSync(path)) writeFileSync(path, change(readFileSync(path, 'utf8')));
}

const FAILURE = {
  code: 'start_failed',
  message: /sample 1\.0\.0.*exit status 4/,
  data: { code: 4, output: { text: /cannot work\n/ } },
};

export function checkSupervisor(t: Test, subject: Subject): void {
  const { supervisor, run, place, failure = FAILURE } = subject;
  function prepare(t: Test) {
    process.env.AGENTS_OWN = 'secret';
    const dir = place?.directory ?? t.testdir();
    const make = (version: string, program: Parameters<Subject['run']>[0] = 'works') =>
      instanceIn(dir, version, run(program), place?.user);
    t.teardown(() => supervisor.stop(make('1.0.0')));
    return { make, home: join(dir, 'run') };
  }

  t.test('starts, says so, and stops', async (t) => {
    const { make, home } = prepare(t);
    const one = make('1.0.0');
    t.equal(await supervisor.status(one), 'stopped');
    await supervisor.stop(one);
    t.equal(await running(home), undefined);

    await supervisor.start(one);
    const first = await processOf(one);
    t.equal(await supervisor.status(one), 'running');
    t.equal(await running(home), '1.0.0');
    t.match(readFileSync(`/proc/${first.pid}/cmdline`, 'utf8'), '1.0.0', 'values are put in');
    const environment = readFileSync(`/proc/${first.pid}/environ`, 'utf8');
    t.match(environment, 'CANARY=sung');
    t.notMatch(environment, 'AGENTS_OWN', 'nothing of the agent’s own is handed on');

    await supervisor.start(one);
    t.same(await processOf(one), first, 'started again, it is left alone');
    t.notOk(await revive(home), 'and so it is by an agent that starts');

    await supervisor.stop(one);
    t.notOk(lives(first));
    t.equal(await supervisor.status(one), 'stopped');
    t.equal(await running(home), undefined);
    t.equal(await wanted(home), undefined);
    t.notOk(await revive(home), 'what was stopped stays stopped');
    await supervisor.stop(one);
  });

  t.test('another version takes the place of the one that runs', async (t) => {
    const { make, home } = prepare(t);
    const [one, two] = [make('1.0.0'), make('2.0.0')];
    await supervisor.start(one);
    const first = await processOf(one);
    await supervisor.start(two);
    const second = await processOf(two);
    t.notOk(lives(first));
    t.ok(lives(second));
    t.equal(await running(home), '2.0.0');
    await supervisor.stop(two);
  });

  t.test('what does not start says why, and leaves nothing', async (t) => {
    const { make, home } = prepare(t);
    await t.rejects(supervisor.start(make('1.0.0', 'fails')), failure);
    t.equal(await supervisor.status(make('1.0.0')), 'stopped');
    t.equal(await running(home), undefined);
    t.equal(await wanted(home), undefined);
  });

  t.test('a program that does not hear SIGTERM is stopped all the same', async (t) => {
    const { make } = prepare(t);
    const one = make('1.0.0', 'stubborn');
    await supervisor.start(one);
    const first = await processOf(one);
    await supervisor.stop(one);
    t.notOk(lives(first));
    t.equal(await supervisor.status(one), 'stopped');
  });

  t.test('after a reboot it is started again', async (t) => {
    const { make, home } = prepare(t);
    const one = make('1.0.0');
    await supervisor.start(one);
    const first = await processOf(one);
    t.notOk(await revive(home));
    await (subject.reboot ?? reboot)(home, first);
    t.ok(await revive(home));
    const second = await processOf(one);
    t.not(second.pid, first.pid);
    t.equal(await supervisor.status(one), 'running');
    t.equal(await running(home), '1.0.0');
    t.notOk(await revive(home), 'once');
    await supervisor.stop(one);
    t.notOk(lives(second));
  });
}
