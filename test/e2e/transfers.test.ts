/** A large release whose transfer is cut in the middle, by either end: it goes on from what had arrived. */
import { existsSync, globSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { LocalFleet } from '../../scripts/local/localFleet.ts';
import { freePorts } from '../../scripts/local/ports.ts';
import { type Ran, waitUntil } from '../../scripts/local/program.ts';
import { PliableRepository } from '../fixtures/pliable.ts';

t.setTimeout(600_000);

const BALLAST = 80_000_000;
const ARRIVED = 10_000_000;

t.test('what had arrived is not sent again', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-transfers-'));
  const [port = 0] = await freePorts(1);
  const repository = new PliableRepository(join(dir, 'pliable'));
  for (const version of ['1.0.0', '1.1.0']) repository.release({ version, ballast: BALLAST });
  const fleet = await LocalFleet.create({
    dir,
    hosts: [{ host: 'a', labels: { role: 'web', port } }],
    config: `data: ./data
services:
  pliable: { source: { git: ./pliable, ref: main } }
environments:
  production:
    services:
      pliable: { hosts: { role: web }, strategy: { settle: 0s, min_visible: 0 }, values: { PORT: { label: port } } }
`,
  });
  t.teardown(async () => {
    await fleet.stop();
    fleet.remove();
  });
  await fleet.start();

  /** Bytes that lie in staging. */
  const arrived = () =>
    globSync('pliable/staging/*', { cwd: fleet.rootOf('a') })
      .map((path) => join(fleet.rootOf('a'), path))
      .reduce((sum, path) => sum + (existsSync(path) ? statSync(path).size : 0), 0);
  const halfway = () => waitUntil('a part has arrived', () => arrived() > ARRIVED);

  t.test('the agent is killed', async (t) => {
    const deploying = fleet.run(['deploy', 'pliable', '--ref', 'v1.0.0']);
    await halfway();
    await fleet.agents.get('a')!.stop('SIGKILL');
    t.ok(arrived() < BALLAST, 'it was in the middle');
    await fleet.startAgent('a');
    sentTheRestOnly(t, await deploying);
  });

  t.test('the controller is killed', async (t) => {
    const deploying = fleet.run(['deploy', 'pliable', '--ref', 'v1.1.0']);
    await halfway();
    await fleet.controller!.stop('SIGKILL');
    t.ok(arrived() < BALLAST, 'it was in the middle');
    await fleet.startController();
    sentTheRestOnly(t, await deploying);
  });
});

function sentTheRestOnly(t: Test, { code, stdout, stderr }: Ran): void {
  t.equal(code, 0) || t.comment(stdout + stderr);
  const [, megabytes] = /stage +a +\S+ staged: \d+ files, (\d+\.\d) MB sent/.exec(stdout) ?? [];
  t.ok(Number(megabytes) * 1e6 <= BALLAST - ARRIVED, `${megabytes} MB were sent at last`) ||
    t.comment(stdout);
}
