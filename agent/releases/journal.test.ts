import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { mountSmallDisk, NO_MOUNT } from '@fleet/artifact/smallDisk.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import t, { type Test } from 'tap';
import { createCommands, type Request } from '../commands/commands.ts';
import { openEpochs } from '../commands/epochs.ts';
import { openJournal } from './journal.ts';

const FLEET = '00000000-0000-4000-8000-000000000001';
const OTHER_FLEET = '00000000-0000-4000-8000-000000000002';
const command = (id: string, epoch = 1, fleet = FLEET): Command => ({ id, fleet, epoch, why: 'a test' });
const request = (id: string, service = 'web'): Request => ({
  command: command(id),
  service,
  version: '1.0.0',
});

/** A life of the agent on one data directory; opening it again is the next life. */
async function live(directory: string) {
  const journal = await openJournal(join(directory, 'journal'), Date.now);
  const epochs = await openEpochs(join(directory, 'epochs.json'));
  return {
    journal,
    commands: createCommands({ journal, epochs, log: { info() {}, warn() {} }, secrets: new KnownSecrets() }),
  };
}
const never = () => Promise.reject(new Error('it acted again'));

t.test('a repeated id answers with the recorded outcome, in this life and the next', async (t) => {
  const directory = t.testdir();
  const first = await live(directory);
  t.strictSame(await first.commands.perform('step.stop', request('a'), async () => ({ changed: true })), {
    changed: true,
  });
  t.strictSame(await first.commands.perform('step.stop', request('a'), never), { changed: true });
  await t.rejects(
    first.commands.perform('step.stop', request('b'), async () => {
      throw new FleetError('stop_failed', 'it did not stop', { next: 'look', data: { pid: 7 } });
    }),
  );

  const next = await live(directory);
  t.strictSame(await next.commands.perform('step.stop', request('a'), never), { changed: true });
  await t.rejects(next.commands.perform('step.stop', request('b'), never), {
    code: 'stop_failed',
    message: 'it did not stop',
    next: 'look',
    data: { pid: 7 },
  });
  await t.rejects(next.commands.perform('step.restart', request('a'), never), { code: 'bad_request' });
});

t.test('what was missing on the way is not remembered', async (t) => {
  const { commands } = await live(t.testdir());
  const full = commands.perform('release.commit', request('full'), () =>
    Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, mkdir'), { code: 'ENOSPC' })),
  );
  await t.rejects(full, { code: 'disk_full' });
  t.equal(await commands.perform('release.commit', request('full'), async () => 'now'), 'now');
  for (const code of ['disk_full', 'transfer_failed', 'no_release', 'link_lost', 'timeout'] as const) {
    const failing = commands.perform('release.commit', request(code), () =>
      Promise.reject(new FleetError(code, 'not now')),
    );
    await t.rejects(failing, { code });
    t.equal(await commands.perform('release.commit', request(code), async () => 'now'), 'now', code);
  }
});

t.test('a disk without room is told as such wherever it showed, and is not remembered', async (t) => {
  const { commands } = await live(t.testdir());
  const full = async () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, mkdir'), { code: 'ENOSPC' });
  };
  await t.rejects(commands.perform('release.commit', request('a'), full), { code: 'disk_full' });
  await t.rejects(commands.observe('release.offer', request('b'), full), { code: 'disk_full' });
  t.equal(
    await commands.perform('release.commit', request('a'), async () => 'there is room'),
    'there is room',
  );
});

t.test('an id that arrives twice at the same time shares one execution', async (t) => {
  const { commands } = await live(t.testdir());
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  let acted = 0;
  const act = async () => {
    acted += 1;
    await gate;
    return acted;
  };
  const both = [
    commands.perform('step.once', request('a'), act),
    commands.perform('step.once', request('a'), act),
  ];
  open();
  t.strictSame(await Promise.all(both), [1, 1]);
});

t.test('commands of one service follow one another, other services do not wait', async (t) => {
  const { commands } = await live(t.testdir());
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const order: string[] = [];
  const slow = commands.perform('step.stop', request('slow'), async () => {
    await gate;
    order.push('slow');
  });
  const after = commands.perform('step.stop', request('after'), async () => void order.push('after'));
  await commands.perform('step.stop', request('other', 'worker'), async () => void order.push('other'));
  const stopped = commands.stop();
  await t.rejects(commands.perform('step.stop', request('late'), never), { code: 'stopping' });
  open();
  await Promise.all([slow, after, stopped]);
  t.strictSame(order, ['other', 'slow', 'after']);
});

t.test('a command that was interrupted is done again, its finished parts are not', async (t) => {
  const directory = t.testdir();
  const hung = new Promise<never>(() => {});
  const first = await live(directory);
  const begun = Promise.withResolvers<void>();
  void first.commands.perform('step.restart', request('a'), async (entry) => {
    await entry.part('before_start', { repeatable: false }, async () => 'migrated');
    await entry.part('before_stop', { repeatable: true }, async () => 'told').catch(never);
    return entry.part('after_start', { repeatable: true }, () => {
      begun.resolve();
      return hung;
    });
  });
  await begun.promise;

  const next = await live(directory);
  const outcome = await next.commands.perform('step.restart', request('a'), async (entry) => [
    await entry.part('before_start', { repeatable: false }, never),
    await entry.part('before_stop', { repeatable: true }, never),
    await entry.part('after_start', { repeatable: true }, async () => 'warm'),
  ]);
  t.strictSame(outcome, ['migrated', 'told', 'warm']);
});

t.test('a part that must not run twice and was interrupted waits for a person', async (t) => {
  const directory = t.testdir();
  const begun = Promise.withResolvers<void>();
  const first = await live(directory);
  void first.commands.perform('step.once', request('a'), (entry) =>
    entry.part('migrate', { repeatable: false }, () => {
      begun.resolve();
      return new Promise<never>(() => {});
    }),
  );
  await begun.promise;
  for (const life of [await live(directory), await live(directory)])
    for (const _ of ['asked', 'asked again'])
      await t.rejects(
        life.commands.perform('step.once', request('a'), (entry) =>
          entry.part('migrate', { repeatable: false, once: { version: '1.0.0', skipped: '' } }, never),
        ),
        {
          code: 'hook_interrupted',
          data: { hook: 'migrate', version: '1.0.0', run: 1 },
          next: /put it right by hand/,
        },
      );
});

t.test('what a person decides holds for the one interruption that it is about', async (t) => {
  const directory = t.testdir();
  /** One life of the agent in which a command with `migrate` in it comes; `how` its run ends, where it runs. */
  async function life(how: 'dies' | 'ends' | 'must not run', ...takes: Array<'again' | 'done'>) {
    const { commands } = await live(directory);
    const died = Promise.withResolvers<'died'>();
    const decisions = takes.map((take, index) => ({ part: 'migrate', run: index + 1, take }));
    const asked = { ...request('a'), command: { ...command('a'), decisions } };
    const once = { version: '1.0.0', skipped: 'skipped' };
    const performed = commands.perform('step.once', asked, async (entry) => {
      const migrated = await entry.part('migrate', { repeatable: false, once }, () => {
        if (how === 'must not run') return never();
        if (how === 'ends') return Promise.resolve('ran');
        died.resolve('died');
        return new Promise<never>(() => {});
      });
      // Whatever else is in the command and is done again.
      return entry.part('index', { repeatable: true }, async () => migrated);
    });
    return Promise.race([performed, died.promise]);
  }
  const waits = (run: number) => ({ code: 'hook_interrupted', data: { run } });
  t.equal(await life('dies'), 'died');
  await t.rejects(life('must not run'), waits(1));
  t.equal(await life('dies', 'again'), 'died');
  await t.rejects(life('must not run'), waits(2));
  await t.rejects(life('must not run', 'again'), waits(2), 'the same decision once more is not a second one');
  t.equal(await life('dies', 'again', 'again'), 'died');
  t.equal(await life('must not run', 'again', 'again', 'done'), 'skipped');
  t.equal(await life('must not run', 'again', 'again', 'done'), 'skipped', 'the answer was lost');
  t.equal(await life('must not run'), 'skipped', 'and is known without the decision');

  const [record = ''] = readdirSync(join(directory, 'journal'));
  rmSync(join(directory, 'journal', record));
  t.equal(await life('must not run', 'again', 'done'), 'skipped', 'also where the record is gone');
});

t.test('a decision to run it again, that ends well, is remembered', async (t) => {
  const directory = t.testdir();
  const again = { ...command('a'), decisions: [{ part: 'migrate', run: 1, take: 'again' as const }] };
  const perform = async (given: Command, act: () => Promise<string>) =>
    (await live(directory)).commands.perform('step.once', { ...request('a'), command: given }, (entry) =>
      entry.part('migrate', { repeatable: false }, act),
    );
  const begun = Promise.withResolvers<void>();
  void perform(command('a'), () => {
    begun.resolve();
    return new Promise<never>(() => {});
  });
  await begun.promise;
  t.equal(await perform(again, async () => 'ran'), 'ran');
  t.equal(await perform(again, never), 'ran');
});

const small = mountSmallDisk('size=2m');
t.test(
  'an outcome is written down also where the disk is full',
  { skip: small ? false : NO_MOUNT },
  async (t) => {
    const { path, remove } = small!;
    t.teardown(remove);
    const first = await live(path);
    const fill = () => {
      const ballast = openSync(join(path, 'ballast'), 'a');
      try {
        for (;;) writeSync(ballast, Buffer.alloc(4096));
      } catch (error) {
        t.match(error, { code: 'ENOSPC' });
      } finally {
        closeSync(ballast);
      }
    };
    const stop = async () => {
      fill();
      return { output: 'x'.repeat(60_000) };
    };
    t.match(await first.commands.perform('step.stop', request('a'), stop), { output: /^x+$/ });
    fill();
    await t.rejects(first.commands.perform('step.stop', request('b'), never), { code: 'disk_full' });
    const next = await live(path);
    t.match(
      await next.commands.perform('step.stop', request('a'), never),
      { output: /^x+$/ },
      'in the next life',
    );

    rmSync(join(path, 'ballast'));
    t.match(await next.commands.perform('step.stop', request('c'), stop), { output: /^x+$/ });
    const last = await live(path);
    t.match(
      await last.commands.perform('step.stop', request('c'), never),
      { output: /^x+$/ },
      'reserved anew',
    );
  },
);

t.test('an epoch below the highest is refused, by each fleet for itself', async (t) => {
  const directory = t.testdir();
  const first = await openEpochs(join(directory, 'epochs.json'));
  await first.admit(command('a', 3));
  await Promise.all([first.admit(command('b', 4)), first.admit(command('c', 5))]);
  await t.rejects(first.admit(command('d', 4)), { code: 'stale_epoch', message: /epoch 4.*epoch 5/ });

  const next = await openEpochs(join(directory, 'epochs.json'));
  await t.rejects(next.admit(command('e', 4)), { code: 'stale_epoch' });
  await next.admit(command('f', 5));
  await next.admit(command('g', 1, OTHER_FLEET));
  await t.rejects(next.admit(command('h', 4)), { code: 'stale_epoch' }, 'the first fleet is not forgotten');
});

t.test('records grow old, and no more than 2000 are kept', async (t) => {
  const directory = join(t.testdir(), 'journal');
  await openJournal(directory, Date.now);
  for (let n = 0; n < 2003; n++) {
    const path = join(directory, `${String(n).padStart(64, '0')}.json`);
    writeFileSync(path, '{}');
    utimesSync(path, 1_700_000_000 + n, 1_700_000_000 + n);
  }
  writeFileSync(join(directory, 'half.json.x.tmp'), '{');
  const soon = () => 1_700_010_000_000;
  const journal = await openJournal(directory, soon);
  const names = (t: Test, count: number) => {
    const found = readdirSync(directory).sort();
    t.equal(found.length, count);
    return found;
  };
  t.match(names(t, 2000)[0], /0003\.json$/);
  await journal.perform(command('new'), 'step.stop web', async () => null);
  t.match(names(t, 2000)[0], /0004\.json$/);
  const record = readFileSync(
    join(directory, names(t, 2000).find((name) => !name.startsWith('000'))!),
    'utf8',
  );
  t.match(JSON.parse(record), { id: 'new', subject: 'step.stop web', outcome: { state: 'done' } });

  await openJournal(directory, () => Date.now() + 31 * 24 * 3_600_000);
  names(t, 0);
});
