/** An agent that is killed in the middle of a hook that may not run twice: the deployment waits, and a person decides. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import t, { type Test } from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { startPliableFleet } from '../fixtures/pliableFleet.ts';

t.setTimeout(600_000);

/** A fleet of two hosts that runs 1.0.0. The `after_start` of 1.1.0 leaves a line at each run, and takes long while `slow` is there. */
async function makeFleet(t: Test) {
  const { fleet, dir, bothConnected } = await startPliableFleet(t, (repository, dir) => {
    const slow = join(dir, 'slow');
    writeFileSync(slow, '');
    const hook = `echo $FLEET_HOST >> ${join(dir, 'runs')}; if [ -e ${slow} ]; then exec sleep 600; fi`;
    repository.release({ version: '1.0.0' });
    repository.release({
      version: '1.1.0',
      hooks: `after_start: { command: [sh, -c, ${JSON.stringify(hook)}] }`,
    });
  });
  const runs = join(dir, 'runs');
  t.equal((await fleet.run(['deploy', 'pliable', '--ref', 'v1.0.0'])).code, 0);
  const hookRuns = () => (existsSync(runs) ? readFileSync(runs, 'utf8').trim().split('\n') : []);
  const show = async () =>
    (await (await fetch(`${fleet.url}/api/deployments/2`)).json()) as {
      deployment: { state: string };
      recap: Recap;
    };
  const untilWaiting = () =>
    waitUntil('deployment 2 waits', async () => (await show()).deployment.state === 'waiting');
  return {
    fleet,
    hookRuns,
    show,
    untilWaiting,
    bothConnected,
    slow: join(dir, 'slow'),
    /** Kills the agent of `a` in the middle of run `run` of the hook, and starts it again. */
    async killAgent(run: number): Promise<void> {
      await waitUntil('the hook runs', () => hookRuns().length === run);
      await fleet.agents.get('a')!.stop('SIGKILL');
      await fleet.startAgent('a');
    },
  };
}

t.test('skip, after a restart of the controller', async (t) => {
  const { fleet, hookRuns, show, untilWaiting, bothConnected, slow, killAgent } = await makeFleet(t);
  const deploying = fleet.run(['deploy', 'pliable']);
  await killAgent(1);
  await untilWaiting();
  t.match((await show()).recap, {
    state: 'running',
    interruptions: [{ host: 'a', kind: 'restart', hook: 'after_start', version: '1.1.0', decision: null }],
  });
  const status = (await fleet.run(['status'])).stdout;
  t.match(status, /^ {2}a .* hidden +/m, 'it stays hidden meanwhile');
  t.match(status, /deployment 2 of 1\.1\.0 is waiting for a person, .*: fleet attach 2$/m);
  t.match(
    status,
    /after_start of 1\.1\.0 on a was interrupted: fleet retry 2, fleet skip 2 or fleet abort 2$/m,
  );
  t.match((await fleet.run(['history'])).stdout, /^2 .* waiting /m);
  t.match((await fleet.run(['recap', '2'])).stdout, /^it waits for a person: fleet retry 2/m);
  t.match(await fleet.run(['deploy', 'pliable']), { code: 3, stderr: /waiting for a person/ });
  t.match(await fleet.run(['resume', '2']), { code: 3, stderr: /not paused: it is waiting/ });
  t.match(await fleet.run(['skip', '1']), { code: 3, stderr: /has ended/ });

  await fleet.controller!.stop('SIGKILL');
  await fleet.startController();
  await bothConnected();
  t.equal((await show()).deployment.state, 'waiting');

  rmSync(slow);
  t.match(await fleet.run(['skip', '2', '-m', 'the cache is warm']), {
    code: 0,
    stdout: /^deployment 2 goes on/,
  });
  const { code, stdout } = await deploying;
  t.equal(code, 0);
  t.strictSame(hookRuns(), ['a', 'b'], 'on a it ran once, and never to its end');
  for (const line of [
    /^restart +a +WAITING: after_start of 1\.1\.0 was interrupted in the middle, and may not run twice$/m,
    /^ {6}fleet retry 2 +runs after_start again$/m,
    /^ {6}fleet skip 2 +counts it as done, and goes on$/m,
    /^note .*the controller was started again; it still waits for a person: fleet retry 2/m,
    /^restart +a +after_start: .* skips it: the cache is warm$/m,
    /^a: after_start of 1\.1\.0 was interrupted; .* skipped it: the cache is warm$/m,
    /^a +: ok=7 .*failed=0 .*running=1\.1\.0$/m,
    /^b +: ok=7 .*running=1\.1\.0$/m,
  ])
    t.match(stdout, line);
  t.match((await show()).recap, {
    exit: 0,
    interruptions: [{ decision: { take: 'done', why: 'the cache is warm' } }],
  });
});

t.test('retry, interrupted once more, and retry again', async (t) => {
  const { fleet, hookRuns, untilWaiting, slow, killAgent } = await makeFleet(t);
  const deploying = fleet.run(['deploy', 'pliable']);
  await killAgent(1);
  await untilWaiting();
  const retrying = fleet.run(['retry', '2', '-m', 'it may']);
  await killAgent(2);
  await untilWaiting();
  rmSync(slow);
  t.equal((await fleet.run(['retry', '2', '--no-wait'])).code, 0);
  const [first, second] = await Promise.all([deploying, retrying]);
  t.strictSame([first.code, second.code], [0, 0], 'both watch the same deployment to its end');
  t.strictSame(hookRuns(), ['a', 'a', 'a', 'b']);
  t.equal(first.stdout.match(/^a: after_start of 1\.1\.0 was interrupted; .* had it run again/gm)?.length, 2);
});

t.test('abort: the host goes back', async (t) => {
  const { fleet, hookRuns, untilWaiting, killAgent } = await makeFleet(t);
  const deploying = fleet.run(['deploy', 'pliable']);
  await killAgent(1);
  await untilWaiting();
  t.equal((await fleet.run(['abort', '2', '-m', 'no idea'])).code, 0);
  const { code, stdout } = await deploying;
  t.equal(code, 5);
  t.strictSame(hookRuns(), ['a']);
  for (const line of [
    /^aborted: restart on a: after_start of 1\.1\.0 was interrupted in the middle, and nobody decided how to go on$/m,
    /^a: after_start of 1\.1\.0 was interrupted, and nobody knows how far it came$/m,
    /^a +: .*failed=1 .*rescued=1 .*running=1\.0\.0$/m,
    /^b +: ok=0 .*running=1\.0\.0$/m,
  ])
    t.match(stdout, line);
  t.match((await fleet.run(['status'])).stdout, /^ {2}a +1\.0\.0 +running +visible/m);
});
