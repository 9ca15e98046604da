/** A controller that is lost and comes back from a backup that is older than its hosts; and a database that cannot be written. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { mountSmallDisk, NO_MOUNT } from '@fleet/artifact/smallDisk.ts';
import type { Status } from '@fleet/protocol/api/fleet.ts';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { type Ran, waitUntil } from '../../scripts/local/program.ts';
import { PliableRepository } from '../fixtures/pliable.ts';

t.setTimeout(600_000);

interface Scene {
  fleet: LocalFleet;
  dir: string;
  repository: PliableRepository;
  run(...argv: string[]): Promise<Ran>;
  status(): Promise<Status['services'][number]>;
}

/** A fleet with hosts `a` and `b`, on which 1.0.0 runs. `data` is the controller's data directory. */
async function scene(t: Test, data = './data'): Promise<Scene> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-backup-'));
  const ports = await freePorts(2);
  const repository = new PliableRepository(join(dir, 'pliable'));
  repository.release({ version: '1.0.0' });
  repository.release({ version: '1.1.0', hooks: 'before_start: { command: [sleep, "1"] }' });
  const fleet = await LocalFleet.create({
    dir,
    hosts: ['a', 'b'].map((host, index) => ({ host, labels: { role: 'web', port: ports[index]! } })),
    config: `data: ${data}
services:
  pliable: { source: { git: ./pliable, ref: main } }
environments:
  production:
    services:
      pliable: { hosts: { role: web }, strategy: { settle: 0s, patience: 5s }, values: { PORT: { label: port } } }
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    fleet.remove();
  });
  await fleet.start();
  const run = (...argv: string[]) => fleet.run(argv);
  ended(t, await run('deploy', 'pliable', '--ref', 'v1.0.0'), 0);
  return {
    fleet,
    dir,
    repository,
    run,
    status: async () => (JSON.parse((await run('status', '--json')).stdout) as Status).services[0]!,
  };
}

function ended(t: Test, ran: Ran, status: number, ...texts: Array<string | RegExp>): void {
  const all = ran.stdout + ran.stderr;
  t.equal(ran.code, status, `exit status ${status}`) || t.comment(all);
  for (const text of texts) t.match(all, text) || t.comment(all);
}

async function connected({ fleet }: Scene): Promise<void> {
  for (const host of ['a', 'b'])
    await waitUntil(`${host} is back`, () => fleet.isConnected(host), fleet.controller);
}

t.test('the data directory is lost, and the hosts are later than the backup', async (t) => {
  const on = await scene(t);
  const { fleet, dir, run } = on;
  const backup = join(dir, 'monday');
  ended(
    t,
    await run('backup', 'monday'),
    0,
    `${backup}: backup of`,
    '1 version,',
    'checked',
    'fleet restore',
  );
  t.strictSame(readdirSync(backup).sort(), ['artifacts', 'backup.json', 'fleet.sqlite']);
  t.strictSame(readdirSync(join(backup, 'artifacts/pliable')).sort(), [
    '1.0.0.manifest.json',
    '1.0.0.tar.zst',
  ]);
  ended(t, await run('backup', 'monday'), 2, 'is there already');
  ended(t, await run('backup', 'no/such/folder'), 2, 'cannot be written', 'ENOENT');
  ended(t, await run('restore', backup), 2, 'another controller uses');

  // Two more lives of the controller, so that the agents know an epoch that the restored one does not reach by itself.
  for (let life = 0; life < 3; life++) {
    await fleet.controller!.stop();
    await fleet.startController();
    await connected(on);
  }
  ended(t, await run('deploy', 'pliable', '--ref', 'v1.1.0'), 0);
  await fleet.controller!.stop();
  ended(t, await run('restore', backup), 2, 'holds a database already', '--replace');
  rmSync(join(dir, 'data'), { recursive: true });
  ended(t, await run('restore', backup), 0, /restored the backup of .*: 1 version/, 'is let in again');

  await fleet.startController();
  await connected(on);
  t.match(readFileSync(fleet.controller!.log, 'utf8'), 'this agent has a later history than the database');
  const status = await on.status();
  t.equal(status.version, '1.1.0', 'what really runs');
  t.equal(status.running, null);
  for (const { host, note } of status.hosts)
    t.match(note, /does not know that 1.1.0 was verified here: the host is later than the backup of 2/, host);

  // Deployment 2 once more, by number: the agents must not answer for the lost one from their journals.
  ended(t, await run('deploy', 'pliable', '--version', '1.0.0'), 0, 'deployment 2', 'running=1.0.0');
  const after = await on.status();
  t.equal(after.version, '1.0.0');
  t.strictSame(
    after.hosts.map(({ note }) => note),
    [null, null],
  );
  ended(t, await run('deploy', 'pliable', '--ref', 'v1.1.0'), 0, 'running=1.1.0');
});

t.test('a backup in the middle of a deployment is whole, and the deployment is not replayed', async (t) => {
  const on = await scene(t);
  const { fleet, dir, run } = on;
  const deploying = run('deploy', 'pliable', '--ref', 'v1.1.0');
  const stepsOf = async (id: number) => {
    const response = await fetch(`${fleet.url}/api/deployments/${id}`);
    return response.ok
      ? ((await response.json()) as { steps: Array<{ kind: string; state: string }> }).steps
      : [];
  };
  await waitUntil('the first host is at restart or activate', async () =>
    (await stepsOf(2)).some(({ kind, state }) => kind === 'activate' && state !== 'pending'),
  );
  ended(t, await run('backup', 'tuesday'), 0, '2 versions');
  ended(t, await deploying, 0);
  await fleet.controller!.stop();
  ended(
    t,
    await run('restore', 'tuesday', '--replace'),
    0,
    'moved what was there to',
    'deployment 2 was under way',
  );
  const aside = readdirSync(join(dir, 'data')).find((name) => name.startsWith('replaced-'))!;
  t.ok(existsSync(join(dir, 'data', aside, 'fleet.sqlite')));
  t.ok(existsSync(join(dir, 'data', aside, 'artifacts/pliable/1.1.0.tar.zst')));

  await fleet.startController();
  await connected(on);
  ended(t, await run('recap', '2'), 1, 'restored from a backup', /unreachable=[1-9]/, 'not known what runs');
  const status = await on.status();
  t.equal(status.running, null, 'its lock is free');
  t.equal(status.version, '1.1.0');
  const said = (await run('history')).stdout;
  t.match(said, /2 .*failed/);
  ended(t, await run('deploy', 'pliable', '--version', '1.1.0'), 0, 'deployment 3', 'running=1.1.0');
  t.strictSame(
    (await on.status()).hosts.map(({ note }) => note),
    [null, null],
  );
});

t.test('a backup that was damaged is refused, and nothing is changed', async (t) => {
  const { fleet, dir, run } = await scene(t);
  ended(t, await run('backup', 'wednesday'), 0);
  await fleet.controller!.stop();
  const archive = join(dir, 'wednesday/artifacts/pliable/1.0.0.tar.zst');
  writeFileSync(archive, `${readFileSync(archive, 'latin1')}x`, 'latin1');
  ended(
    t,
    await run('restore', 'wednesday', '--replace'),
    1,
    'artifacts/pliable/1.0.0.tar.zst is not what was written',
  );
  rmSync(archive);
  ended(t, await run('restore', 'wednesday', '--replace'), 1, '1.0.0.tar.zst cannot be read');
  ended(t, await run('restore', 'thursday', '--replace'), 1, 'no backup.json');
  t.strictSame(
    readdirSync(join(dir, 'data')).filter((name) => /^(replaced|restoring)/.test(name)),
    [],
  );
  await fleet.startController();
  ended(t, await run('history'), 0, /1 .*succeeded/);
});

t.test('a database that is damaged is said to be, with the way to a backup', async (t) => {
  const { fleet, dir, run } = await scene(t);
  await fleet.controller!.stop();
  const file = openSync(join(dir, 'data/fleet.sqlite'), 'r+');
  for (let page = 2; page < 12; page++) writeSync(file, Buffer.alloc(2000, 0xff), 0, 2000, page * 4096);
  closeSync(file);
  ended(t, await run('controller'), 2, 'cannot be used', 'fleet restore BACKUP');
});

/** Holds the write lock of a database in a thread, as a forgotten shell would. */
const HOLDER = `const { DatabaseSync } = require('node:sqlite');
const { parentPort, workerData } = require('node:worker_threads');
const held = new DatabaseSync(workerData);
held.exec('begin immediate');
parentPort.on('message', () => { held.exec('rollback'); held.close(); parentPort.close(); });
parentPort.postMessage('held');`;

t.test('another process holds the database', async (t) => {
  const on = await scene(t);
  const { dir, run, fleet } = on;
  const hold = async () => {
    const holder = new Worker(HOLDER, { eval: true, workerData: join(dir, 'data/fleet.sqlite') });
    await once(holder, 'message');
    return async () => {
      holder.postMessage('enough');
      await once(holder, 'exit');
    };
  };
  const free = await hold();
  ended(t, await run('deploy', 'pliable', '--version', '1.0.0'), 3, 'another process holds the database');
  ended(t, await run('status'), 0, '1.0.0');
  await free();

  const deploying = run('deploy', 'pliable', '--ref', 'v1.1.0');
  await waitUntil('it is under way', async () => {
    const response = await fetch(`${fleet.url}/api/deployments/2`);
    const { steps } = response.ok
      ? ((await response.json()) as { steps: Array<{ kind: string; state: string }> })
      : { steps: [] };
    return steps.some(({ kind, state }) => kind === 'restart' && state !== 'pending');
  });
  const freeAgain = await hold();
  await waitUntil('it is noticed', () =>
    readFileSync(fleet.controller!.log, 'utf8').includes('trying again every'),
  );
  await freeAgain();
  ended(t, await deploying, 0, 'another process holds the database', 'running=1.1.0');
});

const disk = mountSmallDisk('size=16m');
if (disk) t.teardown(() => disk.remove());

t.test('the disk of the database is full', { skip: disk ? false : NO_MOUNT }, async (t) => {
  if (disk === undefined) return;
  const on = await scene(t, join(disk.path, 'data'));
  const { fleet, run } = on;
  const ballast = join(disk.path, 'ballast');
  const fill = () => {
    const { bavail, bsize } = statfsSync(disk.path);
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
  };
  fill();
  // The log of the database has some room left of earlier: it is used up first.
  let last: Ran | undefined;
  for (let tries = 0; tries < 40 && last?.code !== 3; tries++)
    last = await run('deploy', 'pliable', '--version', '1.0.0');
  ended(t, last!, 3, 'no room left on the disk for the database', 'make room there');
  // Who asked for it could not be written down.
  ended(t, await run('backup', join(on.dir, 'backup')), 3, 'no room left on the disk for the database');
  t.notOk(existsSync(join(on.dir, 'backup')), 'so it is not made');
  ended(t, await run('status'), 0, '1.0.0');
  rmSync(ballast);
  ended(t, await run('deploy', 'pliable', '--ref', 'v1.1.0'), 0, 'running=1.1.0');
  t.ok(fleet.controller!.running());
});

t.test('the disk for the backup is full', { skip: disk ? false : NO_MOUNT }, async (t) => {
  if (disk === undefined) return;
  const { run } = await scene(t);
  const ballast = join(disk.path, 'ballast');
  const { bavail, bsize } = statfsSync(disk.path);
  writeFileSync(ballast, Buffer.alloc(bavail * bsize));
  const before = readdirSync(disk.path).sort();
  ended(t, await run('backup', join(disk.path, 'backup')), 1, 'no room left on the disk for the backup');
  t.strictSame(readdirSync(disk.path).sort(), before, 'nothing is left of it');
});

const NO_STRACE = spawnSync('strace', ['-V']).error ? 'strace is not installed' : false;
if (NO_STRACE && process.env.CI === 'true') throw new Error(NO_STRACE);

t.test(
  'the disk of the database gives an error: the controller ends at once',
  { skip: NO_STRACE },
  async (t) => {
    const { fleet, run } = await scene(t);
    const { pid, ended: controllerEnded, log } = fleet.controller!;
    const inject = [
      '-f',
      '-p',
      String(pid),
      '-e',
      'trace=fsync,fdatasync',
      '-e',
      'inject=fsync,fdatasync:error=EIO',
    ];
    const strace = spawn('strace', inject, { stdio: ['ignore', 'ignore', 'pipe'] });
    const gone = once(strace, 'exit');
    t.teardown(() => strace.kill());
    let said = '';
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await waitUntil('strace is attached', () => said.includes('attached'));
    await run('deploy', 'pliable', '--version', '1.0.0');
    t.equal(await controllerEnded, 1);
    t.match(readFileSync(log, 'utf8'), /SQLITE_IOERR_FSYNC\); the controller ends/);
    await gone;
    await fleet.startController();
    t.match(await run('history'), { code: 0, stdout: /1 .*succeeded/ });
  },
);
