/** A deployment that is paused, resumed and retried as a person does it, with a restart of the controller in between. */
import type { StepRow } from '@fleet/protocol/api/deployments.ts';
import t from 'tap';
import { waitUntil } from '../../scripts/local/program.ts';
import { Gate } from '../fixtures/gate.ts';
import { startPliableFleet } from '../fixtures/pliableFleet.ts';

t.setTimeout(600_000);

t.test('paused between two hosts, resumed after a restart, aborted, and retried', async (t) => {
  // To be paused in the middle of a host.
  const gate = new Gate(t);
  const { fleet, bothConnected } = await startPliableFleet(t, (repository) => {
    for (const version of ['1.0.0', '1.1.0'])
      repository.release({ version, hooks: `before_start: ${gate.hook}` });
  });
  const steps = async (deployment: number): Promise<StepRow[]> => {
    const response = await fetch(`${fleet.url}/api/deployments/${deployment}`).catch(() => null);
    return response?.ok ? ((await response.json()) as { steps: StepRow[] }).steps : [];
  };
  const until = (deployment: number, host: string, kind: string, state: StepRow['state']) =>
    waitUntil(`${kind} of ${host} is ${state} in deployment ${deployment}`, async () =>
      (await steps(deployment)).some(
        (step) => step.host === host && step.kind === kind && step.state === state,
      ),
    );
  const begunOnB = async (deployment: number) =>
    (await steps(deployment)).filter(
      ({ host, kind, state }) => host === 'b' && kind !== 'stage' && state !== 'pending',
    );

  t.equal((await fleet.run(['deploy', 'pliable', '--ref', 'v1.0.0'])).code, 0);
  const none = await fleet.run(['retry', '1']);
  t.match([none.code, none.stdout], [0, 'every host succeeded: nothing to do\n']);
  t.match(await fleet.run(['pause', '1']), { code: 3, stderr: /has ended: succeeded/ });
  t.match(await fleet.run(['resume', '99']), { code: 2, stderr: /no deployment 99/ });

  gate.close();
  const deploying = fleet.run(['deploy', 'pliable']);
  await until(2, 'a', 'restart', 'running');
  t.match(await fleet.run(['resume', '2']), { code: 3, stderr: /not paused/ });
  t.match(await fleet.run(['pause', '2', '-m', 'the graphs first']), { code: 0, stdout: /fleet resume 2/ });
  gate.open();
  await until(2, 'a', 'record', 'done');
  t.match((await fleet.run(['status'])).stdout, /deployment 2 of 1\.1\.0 is paused, .*: fleet resume 2$/m);
  t.match(await fleet.run(['deploy', 'pliable']), {
    code: 3,
    stderr: /deployment 2, paused[\s\S]*fleet resume 2/,
  });
  await fleet.controller!.stop('SIGTERM');
  t.equal(await fleet.controller!.ended, 0, 'it parks while it is paused');
  await fleet.startController();
  await bothConnected();
  t.match((await fleet.run(['recap', '2'])).stdout, /^it is paused: fleet resume 2$/m);
  t.strictSame(await begunOnB(2), [], 'the next host was not begun');
  t.equal((await fleet.run(['resume', '2'])).code, 0);
  const resumed = await deploying;
  t.equal(resumed.code, 0);
  for (const line of [
    /^note .* pauses it: the graphs first; .*fleet resume 2$/m,
    /^note .* it stays paused: fleet resume 2 goes on$/m,
    /^going on: .* resumes it$/m,
    /^b +: .*running=1\.1\.0$/m,
  ])
    t.match(resumed.stdout, line);

  gate.close();
  const back = fleet.run(['deploy', 'pliable', '--version', '1.0.0']);
  await until(3, 'a', 'restart', 'running');
  await fleet.run(['pause', '3']);
  gate.open();
  await until(3, 'a', 'record', 'done');
  t.equal((await fleet.run(['abort', '3'])).code, 0);
  t.match(await back, { code: 1, stdout: /^b +: ok=0 .*running=1\.1\.0$/m });
  const retried = await fleet.run(['retry', '3']);
  t.equal(retried.code, 0);
  t.match(retried.stdout, /^note +retries deployment 3$/m);
  t.match(retried.stdout, /RECAP pliable 1\.0\.0 production, deployment 4, .*\nb +: .*running=1\.0\.0\n$/);
});
