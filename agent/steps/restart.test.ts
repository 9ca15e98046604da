/** Restarts on a simulated host: real files and a real journal, programs that are only told of, and a crash at every point. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { policyConfig } from '@fleet/config/agent.ts';
import type { Ended } from '@fleet/process/run.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import t, { type Test } from 'tap';
import { type Commands, createCommands } from '../commands/commands.ts';
import { openEpochs } from '../commands/epochs.ts';
import { realDisk } from '../disk/disk.ts';
import type { Host } from '../host.ts';
import { createPolicy } from '../policy/policy.ts';
import { openJournal } from '../releases/journal.ts';
import { type Home, homeOf, makeHome, releaseDirectory, sealedPath } from '../releases/layout.ts';
import { writeStarted } from '../releases/started.ts';
import type { Supervisor } from '../supervisors/supervisor.ts';
import { UNSIGNED } from '../trust/trust.ts';
import { notReplaceable } from '../upgrade/own.ts';
import { restartService } from './restart.ts';

const FLEET = '00000000-0000-4000-8000-000000000001';

/** What outlives an agent: what was done, and what runs. */
interface World {
  root: string;
  home: Home;
  done: string[];
  running: string | undefined;
}

async function makeWorld(t: Test, repeatable = false): Promise<World> {
  const root = t.testdir();
  const home = homeOf(root, 'web');
  await makeHome(home);
  const hook = (name: string) => ({ command: [name], repeatable });
  for (const version of ['1', '2']) {
    await mkdir(releaseDirectory(home, version));
    const sealed = {
      service: 'web',
      run: { supervisor: 'process', command: ['web'] },
      hooks: {
        before_stop: hook('before_stop'),
        after_stop: hook('after_stop'),
        before_start: hook('before_start'),
        after_start: hook('after_start'),
      },
    };
    await writeFile(sealedPath(home, version), JSON.stringify({ identity: version.repeat(64), sealed }));
  }
  await symlink('releases/2', home.current);
  await writeStarted(home, { version: '1', values: { VERSION: '1' }, secrets: [], wanted: true });
  return { root, home, done: [], running: '1' };
}

const ENDED: Ended = { reason: 'exited', code: 0, signal: null, output: { text: '', dropped: 0 }, ms: 1 };
const CANCELLED: Ended = {
  ...{ reason: 'cancelled', code: null, signal: 'SIGTERM' },
  ...{ output: { text: '', dropped: 0 }, ms: 1 },
};

/**
 * One life of an agent. It dies before or after its call number `at`, counted from 0, which then never returns; `died` says so.
 */
async function live(world: World, death?: { at: number; when: 'before' | 'after' }, ended = ENDED) {
  const died = Promise.withResolvers<void>();
  let calls = 0;
  async function act<T>(what: string, effect: () => T): Promise<T> {
    const dies = calls++ === death?.at;
    const hang = () => {
      died.resolve();
      return new Promise<never>(() => {});
    };
    if (dies && death?.when === 'before') await hang();
    world.done.push(what);
    const result = effect();
    if (dies) await hang();
    return result;
  }
  const supervisor: Supervisor = {
    start: ({ version }) =>
      act(`start ${version}`, () => {
        world.running = version;
      }),
    stop: () =>
      act(`stop ${world.running}`, () => {
        world.running = undefined;
      }),
    status: () => act('status', () => (world.running === undefined ? 'stopped' : 'running')),
  };
  const host: Host = {
    name: 'web-1',
    instance: 'simulated',
    root: world.root,
    policy: createPolicy({
      ...{ host: 'web-1', root: world.root, joined: false },
      config: policyConfig.parse({}),
    }),
    disk: realDisk,
    trust: UNSIGNED,
    run: ({ argv, env }) => act(`${argv[0]} ${env.FLEET_VERSION}`, () => ended),
    endLeftovers: async () => 0,
    runChecks: async () => [],
    supervisorFor: () => supervisor,
    own: notReplaceable(world.root, realDisk),
    secrets: new KnownSecrets(),
    revive: async () => false,
    examine: () => Promise.reject(new Error('nobody looks')),
    environment: {},
    clock: () => 0,
    now: () => 0,
    log: { info() {}, warn() {}, error() {} },
    leaving: new AbortController().signal,
  };
  const journal = await openJournal(join(world.root, '.journal'), () => Date.now());
  const commands = createCommands({
    ...{ journal, log: host.log, secrets: host.secrets },
    epochs: await openEpochs(join(world.root, '.epochs')),
  });
  return {
    died: died.promise,
    restart: (manner?: Manner) => restart(host, commands, world.home, manner),
    calls: () => calls,
  };
}

interface Manner {
  decisions?: Command['decisions'];
  lenientStop?: boolean;
}

function restart(
  host: Host,
  commands: Commands,
  home: Home,
  { decisions, lenientStop = false }: Manner = {},
) {
  const command = { id: 'restart', fleet: FLEET, epoch: 1, why: 'a test', decisions };
  const request = { command, service: 'web', version: '2', values: {}, lenientStop };
  return commands.perform('step.restart', request, (entry) => restartService(host, home, request, entry));
}

const WHOLE = [
  ...['status', 'before_stop 1', 'stop 1', 'after_stop 1'],
  ...['before_start 2', 'start 2', 'status', 'after_start 2'],
];

t.test('nothing goes wrong', async (t) => {
  const world = await makeWorld(t);
  const { restart } = await live(world);
  const reply = await restart();
  t.match(reply, { changed: true });
  t.strictSame(world.done, WHOLE);
  t.strictSame(await restart(), reply);
  t.strictSame(world.done, WHOLE, 'a repeated command does nothing');
});

for (const repeatable of [false, true])
  for (const when of ['before', 'after'] as const)
    for (const [at, call] of WHOLE.entries())
      t.test(
        `the agent dies ${when} ${call} (${at}), hooks ${repeatable ? 'may' : 'must not'} run twice`,
        async (t) => {
          const world = await makeWorld(t, repeatable);
          const first = await live(world, { at, when });
          void first.restart();
          await first.died;
          const next = await live(world);
          const isHook = call.includes('before_') || call.includes('after_');
          const times = (what: string) => world.done.filter((done) => done === what).length;
          const hooks = WHOLE.filter((what) => what.includes('_'));
          if (isHook && !repeatable) {
            await t.rejects(next.restart(), { code: 'hook_interrupted' });
            const before = when === 'after' ? 1 : 0;
            t.equal(times(call), before);
            const [part = '', version = ''] = call.split(' ');
            const take = at % 2 === 0 ? 'again' : 'done';
            const decisions = [{ part, run: 1, take } as const];
            const { output } = await next.restart({ decisions });
            t.equal(output.text.includes(`${part} was not run again`), take === 'done');
            t.equal(world.running, '2');
            for (const hook of hooks)
              t.equal(times(hook), hook === call ? before + (take === 'again' ? 1 : 0) : 1, hook);
            t.equal(version, call.includes('stop') ? '1' : '2');
          } else {
            t.match(await next.restart(), { changed: true });
            t.equal(world.running, '2');
            for (const hook of hooks) {
              const interrupted = hook === call && when === 'after';
              t.equal(times(hook), interrupted ? 2 : 1, hook);
            }
            t.notOk(world.done.includes('stop 2'), 'what comes is not stopped again');
          }
        },
      );

t.test('on the way back nobody is asked about the hooks of the release that is left', async (t) => {
  for (const hook of ['before_stop 1', 'after_stop 1', 'before_start 2', 'after_start 2']) {
    const world = await makeWorld(t);
    const first = await live(world, { at: WHOLE.indexOf(hook), when: 'after' });
    void first.restart({ lenientStop: true });
    await first.died;
    const again = (await live(world)).restart({ lenientStop: true });
    if (hook.includes('stop'))
      t.match((await again).output.text, /_stop failed, going on: .* of 1 was interrupted/);
    else await t.rejects(again, { code: 'hook_interrupted', data: { version: '2' } });
    t.equal(world.done.filter((done) => done === hook).length, 1, `${hook} ran once`);
  }
});

t.test('a hook that an agent ends when it leaves has no outcome', async (t) => {
  const world = await makeWorld(t);
  const leaving = await live(world, undefined, CANCELLED);
  await t.rejects(leaving.restart(), { code: 'stopping' });
  const next = await live(world);
  await t.rejects(next.restart(), { code: 'hook_interrupted', data: { hook: 'before_stop' } });
});
