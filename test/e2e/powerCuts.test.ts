/** A few power cuts, others each time: the seed says which. `scripts/power-cuts` does them all. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { AgentSide } from '../../scripts/powerCuts/agentSide.ts';
import { ControllerSide } from '../../scripts/powerCuts/controllerSide.ts';
import { type Moment, placeOf } from '../../scripts/powerCuts/cuts.ts';
import { skipWithoutPowerDisk } from '../../scripts/powerCuts/disk.ts';
import { chance } from '../../scripts/random/chance.ts';
import { skipWithoutStrace } from '../../scripts/tracing/strace.ts';

t.setTimeout(600_000);

const seed = Number(process.env.FLEET_SEED ?? Date.now() % 1_000_000);
const luck = chance(seed);
t.comment(`FLEET_SEED=${seed}`);
const probe = mkdtempSync(join(tmpdir(), 'fleet-probe-'));
const skip = skipWithoutStrace() || skipWithoutPowerDisk(probe);
rmSync(probe, { recursive: true });

/** Less calls than a deployment makes. */
const SYNCS = 30;
const LONGEST_MS = 1500;

const sync = (thread: 'main' | 'files'): Moment => ({
  call: 'fsync',
  nth: 1 + Math.floor(luck.next() * SYNCS),
  thread,
});
const sometime = (): Moment => ({ afterMs: Math.round(luck.next() * LONGEST_MS) });

t.test('the host loses its power', { skip }, async (t) => {
  const side = await AgentSide.open();
  t.teardown(() => side.close());
  for (const moment of [sync('files'), sometime()]) {
    const cut = await side.cut(moment);
    t.strictSame(cut?.faults, [], cut?.where ?? 'it came to the moment');
  }
});

t.test('the controller loses its power', { skip }, async (t) => {
  const side = await ControllerSide.open();
  t.teardown(() => side.close());
  for (const moment of [sync('main'), sometime()]) {
    const cut = await side.cut(moment);
    t.strictSame(cut?.faults, [], cut?.where ?? 'it came to the moment');
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
