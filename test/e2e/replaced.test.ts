/**
 * Another version of the controller or of an agent is put in place in the middle of a deployment, up and down again: it parks, goes
 * on, and does nothing twice. Every part is a real process of a program tree of its own.
 */
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import t, { type Test } from 'tap';
import { FLEET, waitUntil } from '../../scripts/local/program.ts';
import { makeProgram } from '../fixtures/otherProgram.ts';
import { startPliableFleet } from '../fixtures/pliableFleet.ts';

t.setTimeout(600_000);

interface Moment {
  kind: StepRow['kind'];
  /** Else as soon as the step has begun. */
  done: boolean;
}

/** Of the second host, so that the first one is done. */
const MOMENTS: readonly Moment[] = [
  { kind: 'stage', done: false },
  { kind: 'stage', done: true },
  { kind: 'hide', done: false },
  { kind: 'activate', done: false },
  { kind: 'restart', done: false },
  { kind: 'restart', done: true },
  { kind: 'unhide', done: false },
];
const BALLAST = 60_000_000;
const ARRIVED = 10_000_000;

t.test('programs that are replaced in the middle of a deployment', async (t) => {
  const { fleet, dir, bothConnected } = await startPliableFleet(t, (repository, dir) => {
    const hooks = join(dir, 'hooks.log');
    writeFileSync(hooks, '');
    // It must not run twice, and is long enough to be met.
    const hook = `before_start: { command: [sh, -c, "echo begun >> ${hooks}; sleep 0.5"] }`;
    for (const version of ['1.0.0', '2.0.0']) repository.release({ version, hooks: hook });
    for (const version of ['3.0.0', '4.0.0']) repository.release({ version, ballast: BALLAST });
  });
  const newer = makeProgram(join(dir, 'newer'), { version: '0.2.0', laterProtocol: true });
  const newest = makeProgram(join(dir, 'newest'), { version: '0.3.0', migrations: 1 });

  const get = async <T>(path: string) => (await (await fetch(`${fleet.url}${path}`)).json()) as T;
  const hooksRun = () => readFileSync(join(dir, 'hooks.log'), 'utf8').split('\n').length - 1;

  let last = 0;
  let running = '1.0.0';
  /** Deploys the version that does not run; `replace` comes in the middle. Every hook runs once on each host all the same. */
  async function deployThrough(t: Test, moment: Moment, replace: () => Promise<void>): Promise<void> {
    const hooksBefore = hooksRun();
    running = running === '1.0.0' ? '2.0.0' : '1.0.0';
    const deploying = fleet.run(['deploy', 'pliable', '--ref', `v${running}`]);
    last += 1;
    await waitUntil(`deployment ${last} is at ${moment.kind} of b`, () => isAt(last, moment));
    await replace();
    const { code, stdout, stderr } = await deploying;
    t.equal(code, 0, `${moment.kind}${moment.done ? ', done' : ''}: succeeded`) || t.comment(stdout + stderr);
    for (const host of ['a', 'b'])
      t.match(stdout, new RegExp(`^${host} +: .*failed=0 .*running=${running}$`, 'm'));
    t.equal(hooksRun() - hooksBefore, 2, 'no hook ran twice');
  }
  async function isAt(id: number, { kind, done }: Moment): Promise<boolean> {
    const { steps = [] } = await get<{ steps?: StepRow[] }>(`/api/deployments/${id}`);
    const step = steps.find((each) => each.host === 'b' && each.kind === kind);
    return step?.state === 'done' || (!done && step?.state === 'running');
  }
  async function replaceController(program: string): Promise<void> {
    await fleet.controller!.stop();
    await fleet.startController(program);
  }
  async function replaceAgent(program: string): Promise<void> {
    await fleet.agents.get('b')!.stop();
    await fleet.startAgent('b', program);
  }
  const controllerVersion = async () =>
    (await get<{ controller: { version: string } }>('/api/status')).controller.version;
  const agentVersion = async () =>
    (await get<Array<{ host: string; agent: string }>>('/api/hosts')).find(({ host }) => host === 'b')?.agent;

  t.equal((await fleet.run(['deploy', 'pliable', '--ref', 'v1.0.0'])).code, 0);
  last += 1;
  const current = await controllerVersion();

  t.test('the controller, up and down', async (t) => {
    for (const [index, moment] of MOMENTS.entries()) {
      const [program, version] = index % 2 === 0 ? [newer, '0.2.0'] : [FLEET, current];
      await deployThrough(t, moment, async () => {
        await replaceController(program);
        t.equal(await controllerVersion(), version);
      });
    }
  });

  t.test('an agent, up and down, which also speaks a later protocol', async (t) => {
    for (const [index, moment] of MOMENTS.entries()) {
      const [program, version] = index % 2 === 0 ? [newer, '0.2.0'] : [FLEET, current];
      await deployThrough(t, moment, async () => {
        await replaceAgent(program);
        t.equal(await agentVersion(), version);
      });
    }
  });

  t.test('a transfer goes on where it was', async (t) => {
    const arrived = () =>
      globSync('pliable/staging/*', { cwd: fleet.rootOf('b') })
        .map((path) => join(fleet.rootOf('b'), path))
        .reduce((sum, path) => sum + (existsSync(path) ? statSync(path).size : 0), 0);
    for (const [ref, replace] of [
      ['v3.0.0', () => replaceAgent(newer)],
      ['v4.0.0', () => replaceController(newer)],
    ] as const) {
      const deploying = fleet.run(['deploy', 'pliable', '--ref', ref, '--host', 'b']);
      last += 1;
      await waitUntil('a part has arrived', () => arrived() > ARRIVED);
      await replace();
      const { code, stdout, stderr } = await deploying;
      t.equal(code, 0) || t.comment(stdout + stderr);
      const [, megabytes] = /stage +b +\S+ staged: \d+ files, (\d+\.\d) MB sent/.exec(stdout) ?? [];
      t.ok(Number(megabytes) * 1e6 <= BALLAST - ARRIVED, `${megabytes} MB were sent at last`);
    }
  });

  t.test('a controller with a newer database; the older one refuses it, and changes nothing', async (t) => {
    const database = join(dir, 'data/fleet.sqlite');
    const digest = () => createHash('sha256').update(readFileSync(database)).digest('hex');
    await deployThrough(t, { kind: 'restart', done: false }, async () => {
      await replaceController(newest);
      await bothConnected();
      await fleet.controller!.stop();
      const before = digest();
      const refused = await fleet.run(['controller', '--config', 'controller.yaml']);
      t.equal(refused.code, 2);
      t.match(
        refused.stderr,
        /fleet\.sqlite was written by a newer fleet \(schema \d+, this one knows \d+\)/,
      );
      t.match(refused.stderr, /next: start the newer program again, or restore the backup/);
      t.equal(digest(), before, 'not a byte was changed');
      await fleet.startController(newest);
      t.equal(await controllerVersion(), '0.3.0');
    });
  });
});
