/** The checker is proven first: a clean record passes, and each thing that can be wrong is found under its own name. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { BalancerLine, Quiescent, TimelineLine } from '../record.ts';
import { check } from './check.ts';
import { readEvidence } from './read.ts';
import { type SampleRecap, type SampleRecord, SECOND, sampleRecord, writeRecord } from './record.fixture.ts';
import { INVARIANTS, type InvariantId } from './violation.ts';

const proven = new Set<InvariantId>();

const base = t.testdir();

function written(change: (record: SampleRecord) => void): string {
  const directory = mkdtempSync(join(base, 'run-'));
  const record = sampleRecord();
  change(record);
  writeRecord(directory, record);
  return directory;
}

function found(change: (record: SampleRecord) => void): string[] {
  const directory = written(change);
  return check(readEvidence(directory)).map(({ id, what }) => `${id} ${what}`);
}

function mustFind(id: InvariantId, name: string, change: (record: SampleRecord) => void): void {
  const all = found(change);
  const others = all.filter((each) => !each.startsWith(`${id} `));
  t.ok(all.length > 0, `${id} is found: ${name}`);
  t.strictSame(others, [], `${id} alone: ${all[0]}`);
  proven.add(id);
}
const mustPass = (name: string, change: (record: SampleRecord) => void) =>
  t.strictSame(found(change), [], name);

type CallEnd = Extract<TimelineLine, { kind: 'call.end' }>;
const endOf = ({ timeline }: SampleRecord, id: number) =>
  timeline.find((line): line is CallEnd => line.kind === 'call.end' && line.id === id)!;
const restOf = ({ timeline }: SampleRecord): Quiescent =>
  timeline.flatMap((line) => (line.kind === 'quiescent' ? [line.state] : []))[1]!;
type Poll = Extract<BalancerLine, { source: 'poll' }>;
const pollsOf = ({ balancer }: SampleRecord, server: string) =>
  balancer.filter((line): line is Poll => line.source === 'poll' && line.server === server);
const switchOf = ({ current }: SampleRecord, host: string, nth: number) =>
  current.filter((line) => line.host === host)[nth]!;
/** Both what was printed and what was kept. */
function changeRecap(record: SampleRecord, id: number, change: (recap: SampleRecap) => void): void {
  change(endOf(record, id).json as SampleRecap);
  const row = record.tables.events.find(
    (each) => each.topic === `deployment/${id}` && String(each.event).includes('deployment.ended'),
  )!;
  const event = JSON.parse(String(row.event)) as { recap: SampleRecap };
  change(event.recap);
  row.event = JSON.stringify(event);
}
function tellStatus(record: SampleRecord, host: string, told: Record<string, unknown>): void {
  const { services } = restOf(record).status as { services: Array<{ hosts: Array<{ host: string }> }> };
  Object.assign(services[0]!.hosts.find((each) => each.host === host)!, told);
}
function addCall(record: SampleRecord, at: number, argv: string[], end: Partial<CallEnd>): void {
  const id = 100 + record.timeline.length;
  record.timeline.push(
    { at, kind: 'call.begin', id, argv, deadlineMs: 5000 },
    { at: at + 1000, kind: 'call.end', id, exit: 0, killed: false, json: null, stderr: '', ...end },
  );
}

mustPass('a clean record', () => {});

mustFind('I1', 'current was gone for a moment', (record) => {
  // Just before its switch, while it is hidden.
  const at = switchOf(record, 'web-1', 2).at - 20;
  record.current.push({ at, host: 'web-1', target: null, there: false });
});
mustFind('I1', 'current led nowhere', (record) => {
  switchOf(record, 'web-2', 2).there = false;
});
mustFind('I1', 'current is a folder at the end', (record) => {
  record.touchDisk.push((home) => {
    unlinkSync(join(home, 'current'));
    symlinkSync('releases/1.9.9', join(home, 'current'));
  });
});
mustFind('I2', 'a file of the current release has other content', (record) => {
  record.touchDisk.push((home) =>
    writeFileSync(join(home, 'releases/1.0.0/bin/serve.js'), 'version 9.9.9\n'),
  );
});
mustFind('I2', 'a file of the current release is missing', (record) => {
  record.touchDisk.push((home) => unlinkSync(join(home, 'releases/1.0.0/serve')));
});
mustFind('I2', 'the current release has one file more', (record) => {
  record.touchDisk.push((home) => writeFileSync(join(home, 'releases/1.0.0/more'), ''));
});
mustFind('I3', 'a release was changed after it had been active', (record) => {
  record.touchDisk.push((home) =>
    writeFileSync(join(home, 'releases/1.1.0/bin/serve.js'), 'version 1.1.1\n'),
  );
});
mustFind('I4', 'a second host is hidden beside the first', (record) => {
  const [, hidden] = pollsOf(record, 'web-2').filter(({ admin }) => admin === 'drain');
  hidden!.at = 55 * SECOND;
});
mustFind('I4', 'the last visible host is hidden', (record) => {
  for (const server of ['web-2', 'web-3'])
    record.balancer.push(
      { at: 48 * SECOND, source: 'poll', server, admin: 'ready', up: false },
      { at: 59 * SECOND, source: 'poll', server, admin: 'ready', up: true },
    );
});
mustFind('I4', 'a host is hidden while nothing is deployed', (record) => {
  record.balancer.push(
    { at: 100 * SECOND, source: 'poll', server: 'web-1', admin: 'drain', up: true },
    { at: 105 * SECOND, source: 'poll', server: 'web-1', admin: 'ready', up: true },
  );
});
mustFind('I5', 'a host stays hidden and status knows of nothing', (record) => {
  restOf(record).balancer['web-1'] = { admin: 'maint', up: false };
});
mustFind('I5', 'a host stays hidden and the database knows of nothing', (record) => {
  pollsOf(record, 'web-3').at(-1)!.admin = 'maint';
});
mustPass('a host that stays hidden, and is known to be', (record) => {
  const { balancer } = restOf(record);
  balancer['web-3'] = { admin: 'maint', up: false };
  pollsOf(record, 'web-3').at(-1)!.admin = 'maint';
  tellStatus(record, 'web-3', { note: 'hidden by deployment 3, since today' });
  record.tables.hidden.push({
    service: 'shop',
    environment: 'production',
    host: 'web-3',
    deployment: 3,
    reason: 'hidden by deployment 3',
    since: 'today',
  });
});
mustFind('I6', 'activated before it was hidden', (record) => {
  switchOf(record, 'web-1', 2).at = 51 * SECOND;
});
mustFind('I6', 'shown again before its smoke test', (record) => {
  for (const line of pollsOf(record, 'web-2').filter(({ at }) => at === 68 * SECOND)) line.at = 65 * SECOND;
});
mustFind('I6', 'a release that fails its smoke test is shown', (record) => {
  // What it ran is known afterwards to be a version that no smoke test may pass.
  record.run.versions[1]!.broken = true;
  record.tables.rollback_points = record.tables.rollback_points.filter((point) => point.version !== '1.1.0');
  const end = endOf(record, 2);
  end.json = null;
});
mustFind('I7', 'a second deployment began too early', (record) => {
  record.tables.deployments[0]!.ended_at = new Date(
    Date.parse(String(record.tables.deployments[1]!.started_at)) + 500,
  ).toISOString();
});
mustFind('I7', 'a hook ran after the end', (record) => {
  const last = record.programs.findLast((line) => line.name === 'before_start' && line.event === 'end')!;
  last.at = 175 * SECOND;
});
mustFind('I7', 'a hook ran while another one did', (record) => {
  const end = record.programs.find((line) => line.name === 'before_stop' && line.event === 'end')!;
  end.at += 1000;
});
mustFind('I7', 'a host was switched to what nobody deployed', (record) => {
  record.current.push(
    { at: 55 * SECOND, host: 'web-1', target: 'releases/1.2.0', there: true },
    { at: 55 * SECOND + 1, host: 'web-1', target: 'releases/1.1.0', there: true },
  );
});
const again = (record: SampleRecord, name: string) => {
  const [begin, end] = record.programs.filter((line) => line.name === name);
  record.programs.push({ ...begin!, at: begin!.at + 100, pid: 77 }, { ...end!, at: end!.at + 100, pid: 77 });
};
mustFind('I9', 'a hook ran twice', (record) => again(record, 'before_start'));
mustFind('I9', 'a once step ran twice', (record) => again(record, 'migrate'));
mustPass('a repeatable one ran twice', (record) => {
  record.run.repeatable.push('migrate');
  again(record, 'migrate');
});
mustFind('I10', 'the recap names another version than runs', (record) => {
  changeRecap(record, 2, (recap) => {
    Object.assign(recap, { exit: 5, state: 'restored' });
    for (const host of recap.hosts) Object.assign(host, { running: '1.0.0' });
  });
  Object.assign(record.tables.deployments[1]!, { exit: 5, state: 'restored' });
  for (const line of record.timeline)
    if (line.kind === 'quiescent') (line.state.history as Array<{ state: string }>)[1]!.state = 'restored';
  endOf(record, 2).exit = 5;
});
mustFind('I10', 'unreachable, and no fault held it', (record) => {
  changeRecap(record, 1, (recap) => {
    Object.assign(recap, { exit: 1, state: 'failed' });
    Object.assign(recap.hosts[1]!, { unreachable: 1 });
  });
  Object.assign(record.tables.deployments[0]!, { exit: 1, state: 'failed' });
  for (const line of record.timeline)
    if (line.kind === 'quiescent') (line.state.history as Array<{ state: string }>)[0]!.state = 'failed';
  endOf(record, 1).exit = 1;
});
mustFind('I10', 'status does not know what runs, at rest', (record) =>
  tellStatus(record, 'web-2', { state: 'unknown' }),
);
mustFind('I10', 'status has another version than current', (record) =>
  tellStatus(record, 'web-2', { running: '1.1.0' }),
);
mustFind('I11', 'exit 0 with a host that was not reached', (record) => {
  const end = endOf(record, 3).json as SampleRecap;
  Object.assign(end.hosts[2]!, { unreachable: 1 });
});
mustFind('I11', 'exit 1 with every host verified', (record) =>
  addCall(record, 120 * SECOND, ['fleet', 'recap', '2', '--json'], {
    exit: 1,
    json: { recap: endOf(record, 2).json },
  }),
);
mustFind('I11', 'a call that does not end', (record) => {
  record.timeline = record.timeline.filter((line) => line.kind !== 'call.end' || line.id !== 2);
});
mustFind('I11', 'a recap without one of the hosts', (record) => {
  (endOf(record, 2).json as SampleRecap).hosts.pop();
});
mustFind('I11', 'no controller, and no fault held it', (record) =>
  addCall(record, 120 * SECOND, ['fleet', 'status', '--json'], { exit: 4 }),
);
mustFind('I11', 'a retry that deploys to all hosts', (record) => {
  record.tables.deployments[2]!.request = JSON.stringify({ retries: 1 });
});
mustFind('I12', 'a deployment that somebody was told of is not there', (record) =>
  addCall(record, 120 * SECOND, ['fleet', 'deploy', 'shop', '--no-wait', '--json'], { json: { id: 9 } }),
);
mustFind('I12', 'a rollback point is not there', ({ tables }) => {
  tables.rollback_points.splice(0, 1);
});
mustFind('I12', 'a version that was built is not there', (record) =>
  addCall(record, 120 * SECOND, ['fleet', 'build', 'shop', '--json'], {
    json: { release: { version: '7.0.0' } },
  }),
);
mustFind('I12', 'history told of another end', (record) => {
  (restOf(record).history as Array<{ state: string }>)[0]!.state = 'failed';
});
mustFind('I13', 'the release before is gone', (record) => {
  record.touchDisk.push((home) => rmSync(join(home, 'releases/1.1.0'), { recursive: true }));
});
mustFind('I13', 'a rollback had to send what was there', ({ tables }) => {
  tables.steps.find((step) => step.deployment === 3 && step.kind === 'stage')!.outcome = 'changed';
});
mustFind('I13', 'a version that fails its smoke test is where a rollback may go', ({ tables }) => {
  tables.rollback_points.unshift({ ...tables.rollback_points[0]!, version: '1.2.0' });
});
mustFind('I13', 'the last rollback fails', (record) =>
  addCall(record, 190 * SECOND, ['fleet', 'rollback', 'shop', '-y'], { exit: 1 }),
);
mustFind('I15', 'a setuid bit', (record) => {
  // The manifest is of no help here: it is the same for a file that it does not have.
  record.touchDisk.push((home) => chmodSync(join(home, 'releases/1.0.0/bin'), 0o4755));
});
mustFind('I17', 'a folder is left in staging', (record) => restOf(record).leftovers['web-1']!.push('a1b2c3'));
mustFind('I17', 'a hook still runs', (record) => {
  record.programs.push({
    at: 158 * SECOND,
    host: 'web-3',
    version: '1.0.0',
    name: 'after_stop',
    event: 'begin',
    pid: 55,
  });
  restOf(record).processes['web-3']!.push({ pid: 55, argv: ['after_stop'] });
});
mustFind('I17', 'the former service still runs', (record) =>
  restOf(record).processes['web-1']!.push({ pid: 2000, argv: ['node'] }),
);
mustFind('I17', 'descriptors are not closed', (record) => {
  restOf(record).daemons.controller!.descriptors = 60;
});
mustFind('I18', 'an agent does not come back', (record) => {
  restOf(record).hosts = [
    { host: 'web-1', connected: true },
    { host: 'web-2', connected: true },
  ];
});
mustFind('I18', 'a lock is not freed', ({ tables }) => {
  tables.locks.push({
    service: 'shop',
    environment: 'production',
    deployment: 2,
    owner: 'test',
    since: 'today',
  });
});
mustFind('I18', 'a deployment runs for ever', (record) => {
  (restOf(record).status as { services: Array<{ running: unknown }> }).services[0]!.running = {
    deployment: 3,
    state: 'running',
  };
});
mustFind('I18', 'a last deployment fails with nothing in the way', (record) =>
  addCall(record, 190 * SECOND, ['fleet', 'deploy', 'shop', '--version', '1.1.0'], { exit: 1 }),
);
const fail = (record: SampleRecord) =>
  Object.assign(record.probes[7]!, { status: 503, host: 'web-1', version: null });
mustFind('I19', 'a request fails although nothing is harmed', fail);
mustPass('a request fails while its host is down', (record) => {
  fail(record);
  record.timeline.push(
    { at: 44 * SECOND, kind: 'fault.begin', id: 5, fault: 'service.kill', host: 'web-1', harmless: false },
    { at: 44 * SECOND + 100, kind: 'fault.end', id: 5 },
  );
});
mustFind('I19', 'another version answers than is active', (record) => {
  record.probes[7]!.version = '1.1.0';
});
mustFind('I19', 'a host in maintenance answers', (record) => {
  record.probes.push({
    at: 54_500,
    until: 54_510,
    status: 200,
    host: 'web-1',
    version: '1.1.0',
    error: null,
  });
});

t.strictSame(
  Object.keys(INVARIANTS).filter((id) => !proven.has(id as InvariantId)),
  [],
  'every invariant was seen violated',
);

t.test('the command', async (t) => {
  const run = (change: (record: SampleRecord) => void) =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'check.ts'), written(change)], {
      encoding: 'utf8',
    });
  const clean = run(() => {});
  t.match(clean, { status: 0, stdout: /3 deployments.*\n0 violations/ });
  const pidAgain = run(({ programs, run: { startedAt } }) => {
    const last = programs.findLast(({ name, host }) => name === 'service' && host === 'web-1')!;
    programs.unshift({ ...last, at: startedAt, version: '0.9.0', event: 'begin' });
    programs.splice(1, 0, { ...last, at: startedAt + 1, version: '0.9.0', event: 'end' });
  });
  t.match(pidAgain, { status: 0 }, 'a process id that comes again belongs to whoever had it last');
  const violated = run(fail);
  t.match(violated, { status: 1, stdout: /I19: .*\n {2}violated at .*45\.7.*\n( {4}.*\n){10,}/ });
  t.match(violated.stdout, 'web-3 service of 1.0.0 begins', 'what was going on is shown');
  const brokenOff = run((record) => record.timeline.pop());
  t.match(brokenOff, { status: 2, stderr: /has no end/ });
});
