/** The trial of a release, life after life: the real `settle`, real notes and a real journal; systemd is played. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { bootId } from '@fleet/process/proc.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { SETTLE } from '@fleet/units/settle.ts';
import t, { type Test } from 'tap';
import { realDisk } from '../disk/disk.ts';
import type { Host } from '../host.ts';
import { openJournal } from '../releases/journal.ts';
import { openOwn } from './own.ts';
import { replaceOwn, requireUnit } from './replace.ts';
import { selfTest } from './selfTest.ts';
import { versionsOf } from './versions.ts';

const COMMAND = {
  id: 'fleet:1:2',
  fleet: '00000000-0000-4000-8000-000000000001',
  epoch: 1,
  why: 'deployment 1',
};

/** A host with 1.0.0 and 2.0.0 of the agent and two of Node; 1.0.0 and 24 are current. */
class Machine {
  readonly root: string;
  readonly settle: string;
  constructor(t: Test) {
    const dir = t.testdir();
    this.root = join(dir, 'root');
    this.settle = join(dir, 'settle');
    writeFileSync(this.settle, SETTLE);
    for (const place of [
      'fleet-agent/releases/1.0.0',
      'fleet-agent/releases/2.0.0',
      'fleet-node/releases/24',
      'fleet-node/releases/26',
    ])
      mkdirSync(join(this.root, place), { recursive: true });
    mkdirSync(join(this.root, 'fleet-agent/run'));
    this.current('fleet-agent', '1.0.0');
    this.current('fleet-node', '24');
  }

  current(service: string, version: string): void {
    const link = join(this.root, service, 'current');
    symlinkSync(join('releases', version), `${link}.new`);
    renameSync(`${link}.new`, link);
  }
  get now(): string {
    return ['fleet-agent', 'fleet-node']
      .map((name) => readlinkSync(join(this.root, name, 'current')).slice(9))
      .join(' ');
  }
  note(name: string): string | undefined {
    const path = join(this.root, 'fleet-agent/run', name);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }
  unit(what: 'begin' | 'ended', result: Record<string, string> = {}): void {
    execFileSync('sh', [this.settle, what, this.root], { env: { PATH: process.env.PATH, ...result } });
  }

  /** One life of an agent: started by its unit, from what is current then. */
  async start({ test = async () => {} }: { test?: () => Promise<void> } = {}) {
    this.unit('begin');
    const [agent, node] = this.now.split(' ');
    const told: string[] = [];
    let left = false;
    const own = openOwn({
      root: this.root,
      disk: realDisk,
      log: { info() {}, warn() {}, error() {} },
      versions: versionsOf(this.root, {
        agent: join(this.root, `fleet-agent/releases/${agent}/agent.js`),
        node: join(this.root, `fleet-node/releases/${node}/bin/node`),
      }),
      systemd: {
        watchdogMs: undefined,
        notify: async (state) => void told.push(state),
        startLimit: async () => '1min',
        printed: async () => 'what it printed\n',
      },
      test,
      leave: () => {
        left = true;
      },
    });
    const journal = await openJournal(join(this.root, 'journal'), Date.now);
    const host = { own, name: 'web-1', root: this.root, disk: realDisk, now: Date.now } as unknown as Host;
    return {
      own,
      told,
      hasLeft: () => left,
      restart: (version: string, service: 'fleet-agent' | 'fleet-node' = 'fleet-agent') =>
        journal.perform(COMMAND, `step.restart ${service} ${version}`, (entry) =>
          replaceOwn(host, service, version, entry),
        ),
    };
  }
}

/** 1.0.0 has proven itself, 2.0.0 is current, and the agent has left for it. */
async function upTo(t: Test): Promise<Machine> {
  const machine = new Machine(t);
  const first = await machine.start();
  await first.own.begun();
  t.same(first.told, ['READY=1'], 'nothing is on trial: it is ready at once');
  await first.own.greeted();
  t.equal(machine.note('proven'), '1.0.0 24\n');
  machine.current('fleet-agent', '2.0.0');
  await t.rejects(first.restart('2.0.0'), { code: 'stopping' });
  t.ok(first.hasLeft());
  machine.unit('ended', { SERVICE_RESULT: 'success', EXIT_CODE: 'exited', EXIT_STATUS: '0' });
  return machine;
}

t.test('a release is ready when its hello was answered, and the command is done then', async (t) => {
  const machine = await upTo(t);
  const second = await machine.start();
  t.match(machine.note('tried'), `2.0.0 24\n${bootId()}\n`);
  await second.own.begun();
  t.same(second.told, [], 'not ready before a controller has answered');
  await second.own.greeted();
  t.same(second.told, ['READY=1']);
  t.equal(machine.note('proven'), '2.0.0 24\n');
  t.equal(machine.note('tried'), undefined);
  t.match(await second.restart('2.0.0'), { changed: true });
  t.ok((await second.restart('2.0.0')).startMs >= 0);
  t.equal(second.hasLeft(), false, 'and nothing is done twice');
  await second.own.greeted();
  t.same(second.told, ['READY=1'], 'said once, however often the link comes back');
});

for (const [result, says] of [
  [{ SERVICE_RESULT: 'exit-code', EXIT_CODE: 'exited', EXIT_STATUS: '7' }, 'ended with exit status 7'],
  [
    { SERVICE_RESULT: 'timeout', EXIT_CODE: 'killed', EXIT_STATUS: 'TERM' },
    'did not reach the controller in 1min',
  ],
  [{ SERVICE_RESULT: 'signal', EXIT_CODE: 'killed', EXIT_STATUS: 'SEGV' }, 'was ended by SIGSEGV'],
] as const)
  t.test(`the former release is back where the new one ${says}`, async (t) => {
    const machine = await upTo(t);
    machine.unit('begin');
    t.equal(machine.now, '2.0.0 24', 'tried once');
    machine.unit('ended', result);
    const third = await machine.start();
    t.equal(machine.now, '1.0.0 24');
    await third.own.begun();
    t.same(third.told, ['READY=1'], 'it needs no controller to be ready');
    const refusal = {
      code: 'start_failed',
      message: new RegExp(`^fleet-agent 2.0.0 ${says}.*; 1.0.0 is back$`),
    };
    await t.rejects(third.restart('2.0.0'), refusal);
    await t.rejects(
      third.restart('2.0.0'),
      { ...refusal, data: { output: 'what it printed\n' } },
      'the same once more',
    );
    t.equal(third.hasLeft(), false);
  });

t.test('a power cut in the middle of the trial brings the former release back', async (t) => {
  const machine = await upTo(t);
  machine.unit('begin');
  const note = machine.note('tried')!.replace(bootId(), '00000000-0000-0000-0000-000000000000');
  writeFileSync(join(machine.root, 'fleet-agent/run/tried'), note);
  const third = await machine.start();
  t.equal(machine.now, '1.0.0 24');
  await t.rejects(third.restart('2.0.0'), { code: 'start_failed', message: /its host was started anew/ });
});

t.test('what was switched and never restarted is on trial at the next start', async (t) => {
  const machine = new Machine(t);
  await (await machine.start()).own.greeted();
  machine.current('fleet-agent', '2.0.0');
  const second = await machine.start();
  await second.own.begun();
  t.same(second.told, []);
  machine.unit('ended', { SERVICE_RESULT: 'exit-code', EXIT_CODE: 'exited', EXIT_STATUS: '7' });
  const third = await machine.start();
  const says = /^fleet-agent 2\.0\.0 ended with exit status 7 .*; 1\.0\.0 is back$/;
  await t.rejects(
    third.restart('2.0.0'),
    { code: 'start_failed', message: says },
    'also to who asks only then',
  );
  t.equal(third.hasLeft(), false);
});

t.test('a new Node is tried like a new agent', async (t) => {
  const machine = new Machine(t);
  const first = await machine.start();
  await first.own.greeted();
  machine.current('fleet-node', '26');
  await t.rejects(first.restart('26', 'fleet-node'), { code: 'stopping' });
  machine.unit('begin');
  machine.unit('ended', { SERVICE_RESULT: 'exit-code', EXIT_CODE: 'exited', EXIT_STATUS: '203' });
  const third = await machine.start();
  t.equal(machine.now, '1.0.0 24');
  await t.rejects(third.restart('26', 'fleet-node'), {
    code: 'start_failed',
    message: /^fleet-node 26 .*24 is back/,
  });
});

t.test('a release that failed is tried anew when it is asked for anew', async (t) => {
  const machine = await upTo(t);
  machine.unit('begin');
  const third = await machine.start();
  machine.current('fleet-agent', '2.0.0');
  const again = await openJournal(join(machine.root, 'journal-2'), Date.now);
  const host = {
    own: third.own,
    name: 'web-1',
    root: machine.root,
    disk: realDisk,
    now: Date.now,
  } as unknown as Host;
  await t.rejects(
    again.perform(COMMAND, 'step.restart fleet-agent 2.0.0', (entry) =>
      replaceOwn(host, 'fleet-agent', '2.0.0', entry),
    ),
    { code: 'stopping' },
  );
  t.equal(machine.note('failed'), undefined);
  const fourth = await machine.start();
  await fourth.own.begun();
  t.equal(machine.now, '2.0.0 24');
  t.same(fourth.told, []);
});

t.test('a self-test that fails leaves everything as it is', async (t) => {
  const machine = new Machine(t);
  const first = await machine.start({
    test: async () => {
      throw new FleetError('start_failed', 'the self-test of 2.0.0 24 failed');
    },
  });
  await first.own.greeted();
  machine.current('fleet-agent', '2.0.0');
  await t.rejects(first.restart('2.0.0'), { code: 'start_failed' });
  t.equal(first.hasLeft(), false);
  machine.current('fleet-agent', '1.0.0');
  t.match(
    await first.restart('1.0.0').catch((error: FleetError) => error),
    { code: 'bad_request' },
    'an id means one thing',
  );
});

t.test('settle writes nothing down where nothing has proven itself yet', async (t) => {
  const machine = new Machine(t);
  machine.unit('begin');
  machine.unit('begin');
  t.equal(machine.note('tried'), undefined);
  t.equal(machine.now, '1.0.0 24');
});

t.test('without a unit, or from a checkout, the agent is not replaced', async (t) => {
  const machine = new Machine(t);
  const { own } = await machine.start();
  const unfit = [
    { ...own, systemd: undefined },
    { ...own, versions: { 'fleet-agent': null, 'fleet-node': '24' } },
  ];
  for (const each of unfit)
    t.throws(() => requireUnit({ own: each, name: 'web-1' }), { code: 'not_by_unit' });
  requireUnit({ own, name: 'web-1' });
});

t.test('the self-test reads what is there, and finds what it cannot read', async (t) => {
  const data = t.testdir({ journal: { 'a.json': '{"id":"1","outcome":{"state":"started"},"parts":{}}' } });
  const settings = { data, host: 'web-1' } as Parameters<typeof selfTest>[0];
  const versions = { 'fleet-agent': '1.0.0', 'fleet-node': '24' };
  t.equal(await selfTest(settings, versions), '1.0.0 24');
  writeFileSync(join(data, 'journal/b.json'), '{"entries":[]}');
  await t.rejects(selfTest(settings, versions), /b\.json in the journal is no record/);
});
