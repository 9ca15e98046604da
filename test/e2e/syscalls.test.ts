/** The order of an agent's writes, and a few system calls that go wrong, others each time: `scripts/syscall-sweep` does them all. */
import t, { type Test } from 'tap';
import { Random } from '../../scripts/random/random.ts';
import { AgentSweep, type Hit } from '../../scripts/syscalls/agentSweep.ts';
import { ControllerSweep } from '../../scripts/syscalls/controllerSweep.ts';
import { faultsOfOrder } from '../../scripts/syscalls/order.ts';
import { FAULTS } from '../../scripts/syscalls/points.ts';
import { type Call, skipWithoutStrace } from '../../scripts/tracing/strace.ts';

t.setTimeout(600_000);

const seed = Number(process.env.FLEET_SEED ?? Date.now() % 1_000_000);
const luck = new Random(seed);
t.comment(`FLEET_SEED=${seed}`);
const skip = skipWithoutStrace();
const POINTS = 8;

function holds(t: Test, hit: Hit | null): boolean {
  if (hit === null) return false;
  const { program, point, answer, faults } = hit;
  t.strictSame(faults, [], `${program}: ${point.fault} at ${point.place}: ${answer ?? 'all went well'}`);
  return true;
}

t.test('an agent', { skip }, async (t) => {
  const sweep = await AgentSweep.open();
  t.teardown(() => sweep.close());
  let seen = 0;
  for (const thread of ['files', 'unpacking'] as const) {
    const { points, disorder } = await sweep.look(thread, FAULTS);
    t.strictSame(
      disorder,
      [],
      'nothing is renamed before it is synced, and each rename is synced before the next',
    );
    for (let left = POINTS / 2; left > 0; left--)
      if (holds(t, await sweep.hit(thread, luck.pick(points)))) seen += 1;
  }
  t.ok(seen > 0, `${seen} of ${POINTS} calls went wrong`);
});

t.test('a controller', { skip }, async (t) => {
  const sweep = await ControllerSweep.open();
  t.teardown(() => sweep.close());
  const points = (await sweep.look(FAULTS)).filter(({ call }) => call === 'fsync');
  t.ok(points.length > 0, 'its database is synced');
  for (const fault of ['error=EIO', 'signal=SIGKILL'])
    holds(t, await sweep.hit(luck.pick(points.filter((point) => point.fault === fault))));
});

t.test('writes out of order are seen', async (t) => {
  const calls = (...texts: string[]): Call[] =>
    texts.map((text) => ({ name: text.split('(')[0]!, text, failed: false, injected: false }));
  const write = 'write(3</r/a.tmp>, "x", 1) = 1';
  const sync = 'fsync(3</r/a.tmp>) = 0';
  const rename = 'rename("/r/a.tmp", "/r/a") = 0';
  const directory = 'fsync(4</r>) = 0';
  t.strictSame(faultsOfOrder(calls(write, sync, rename, directory)), []);
  t.match(faultsOfOrder(calls(write, rename, directory)), [/before its content was synced/]);
  t.match(faultsOfOrder(calls(write, sync, rename)), [/never synced/]);
  t.match(faultsOfOrder(calls(write, sync, rename, 'rename("/r/b", "/r/c") = 0', directory)), [
    /came before the sync/,
  ]);
});
