/** For tests: all that the API needs of a controller, over the fleet of a test, with keys, trust and enrolment of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Backups } from '../backup/backups.ts';
import { CatchUp } from '../deploy/catchUp.ts';
import type { Fleet } from '../deploy/fleet.fixture.ts';
import { enrolmentIn } from '../enrol/enrolment.fixture.ts';
import type { EnrolmentOptions } from '../enrol/enrolment.ts';
import { programsIn } from '../programs/programs.fixture.ts';
import { TrustChanges } from '../signing/changes.ts';
import { signShelf } from '../signing/shelf.ts';
import { openSigning } from '../signing/signing.ts';
import { joining, KEYS } from './calls.fixture.ts';
import type { Serving } from './handlers.ts';

export async function servingOf(t: Test, fleet: Fleet, more: Partial<EnrolmentOptions> = {}) {
  const { deployer, deps, store } = await fleet.controller();
  const backups = new Backups({ store, balancers: t.testdir(), version: '0.1.0' });
  t.teardown(() => backups.idle());
  const folder = mkdtempSync(join(t.testdir(), 'enrol-'));
  const { enrolment, clock, trust: own } = await enrolmentIn(folder, store, more);
  const data = mkdtempSync(join(tmpdir(), 'fleet-keys-'));
  t.teardown(() => rmSync(data, { recursive: true }));
  KEYS.write(data);
  const signing = openSigning(data, Date.now)!;
  await signShelf(store, signing);
  joining.signed = (await store.artifacts.list()).map(({ signature }) => signature);
  const programs = await programsIn(folder, { store, signing });
  const trust = new TrustChanges({
    signing,
    store,
    agents: { hello: () => undefined, ask: (...asked) => deps.agents.ask(...asked) },
    log: deps.log,
  });
  const serving: Serving = {
    ...deps,
    deployer,
    catchUp: new CatchUp(deps, deployer),
    refreshBalancers: async () => {},
    backups,
    programs,
    enrolment,
    trust,
    startedAt: new Date(),
    builds: 'as nobody',
    version: '0.1.0',
  };
  return { deployer, store, enrolment, clock, serving, own, folders: [folder, data] };
}
