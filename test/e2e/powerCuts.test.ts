/** A few power cuts, others each time: the seed says which. `scripts/power-cuts` does them all. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { AgentSide } from '../../scripts/powerCuts/agentSide.ts';
import { ControllerSide } from '../../scripts/powerCuts/controllerSide.ts';
import { type Cut, type Moment, placeOf } from '../../scripts/powerCuts/cuts.ts';
import { skipWithoutPowerDisk } from '../../scripts/powerCuts/disk.ts';
import { Random } from '../../scripts/random/random.ts';
import { skipWithoutStrace } from '../../scripts/tracing/strace.ts';

t.setTimeout(600_000);

const seed = Number(process.env.FLEET_SEED ?? Date.now() % 1_000_000);
const luck = new Random(seed);
t.comment(`FLEET_SEED=${seed}`);
const probe = mkdtempSync(join(tmpdir(), 'fleet-probe-'));
const skip = skipWithoutStrace() || skipWithoutPowerDisk(probe);
rmSync(probe, { recursive: true });

const SYNCS = 30;
const LONGEST_MS = 1500;

const sync = (thread: 'main' | 'files'): Moment => ({
  call: 'fsync',
  nth: 1 + Math.floor(luck.next() * SYNCS),
  thread,
});
const sometime = (): Moment => ({ afterMs: Math.round(luck.next() * LONGEST_MS) });

/** A deployment that makes less calls ends before the moment comes: then an earlier one is taken. */
async function cutAt(side: AgentSide | ControllerSide, moment: Moment): Promise<Cut> {
  const cut = await side.cut(moment);
  if (cut) return cut;
  if ('afterMs' in moment || moment.nth === 1) throw new Error('it did not come to the moment');
  return cutAt(side, { ...moment, nth: Math.floor(moment.nth / 2) });
}

t.test('the host loses its power', { skip }, async (t) => {
  const side = await AgentSide.open();
  t.teardown(() => side.close());
  for (const moment of [sync('files'), sometime()]) {
    const { faults, where } = await cutAt(side, moment);
    t.strictSame(faults, [], where);
  }
});

t.test('the controller loses its power', { skip }, async (t) => {
  const side = await ControllerSide.open();
  t.teardown(() => side.close());
  for (const moment of [sync('main'), sometime()]) {
    const { faults, where } = await cutAt(side, moment);
    t.strictSame(faults, [], where);
  }
});

t.test('a call is named by its file, without what differs each time', async (t) => {
  const call = (text: string) => ({ name: 'rename', text, failed: false, injected: true });
  t.equal(
    placeOf(call('rename("/d/a/journal/x.json.abcdefghijkl.tmp", "/d/a/journal/x.json") = ?'), '/d'),
    'rename a/journal/x.json',
  );
  t.equal(
    placeOf(call('rename("/d/.current-abcdefghijkl", "/d/web/current") = 0'), '/d'),
    'rename web/current',
  );
});
