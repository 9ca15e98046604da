/**
 * The record of a run in which nothing goes wrong, made by hand: three hosts, two deployments, a rollback, one agent that
 * is killed, a rest. A test changes one thing in it and writes it down.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import type {
  BalancerLine,
  CurrentLine,
  ProbeLine,
  ProgramLine,
  Quiescent,
  Run,
  TimelineLine,
} from '../record.ts';
import { identityOf, type Manifest } from './tree.ts';

const HOSTS = ['web-1', 'web-2', 'web-3'];
const STARTED_WALL = Date.parse('2026-01-01T00:00:00Z');
export const SECOND = 1000;

type Row = Record<string, string | number | null>;

export interface SampleRecord {
  run: Run;
  timeline: TimelineLine[];
  balancer: BalancerLine[];
  probes: ProbeLine[];
  current: CurrentLine[];
  programs: ProgramLine[];
  tables: Record<
    | 'artifacts'
    | 'deployments'
    | 'deployment_hosts'
    | 'steps'
    | 'events'
    | 'rollback_points'
    | 'locks'
    | 'hidden',
    Row[]
  >;
  /** Called with the folder of a host's service when all is written. */
  touchDisk: Array<(service: string, host: string) => void>;
}

export interface SampleRecap {
  deployment: number;
  version: string;
  state: string;
  hosts: Array<Record<string, unknown>>;
  failure: null;
  exit: number;
}

const wall = (at: number) => new Date(STARTED_WALL + at).toISOString();
const manifestOf = (version: string): Manifest => {
  const content = `version ${version}\n`;
  const files: Manifest['files'] = [
    { type: 'directory', path: 'bin' },
    {
      type: 'file',
      path: 'bin/serve.js',
      mode: 0o755,
      size: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
    },
    { type: 'link', path: 'serve', target: 'bin/serve.js' },
  ];
  const manifest = { version, identity: '', files, sealed: { shared: ['data'] } };
  return { ...manifest, identity: identityOf(manifest) };
};

export function sampleRecord(): SampleRecord {
  const record: SampleRecord = {
    run: {
      seed: 1,
      minutes: 2,
      service: 'shop',
      hosts: HOSTS,
      maxHidden: 1,
      minVisible: 1,
      versions: [
        { version: '1.0.0', broken: false },
        { version: '1.1.0', broken: false },
        { version: '1.2.0', broken: true },
      ],
      repeatable: ['after_stop'],
      startedAt: 0,
      startedWall: STARTED_WALL,
    },
    timeline: [],
    balancer: HOSTS.map((server) => ({ at: 0, source: 'poll', server, admin: 'ready', up: false })),
    probes: [],
    current: HOSTS.map((host) => ({ at: 0, host, target: null, there: false })),
    programs: [],
    tables: {
      artifacts: ['1.0.0', '1.1.0', '1.2.0'].map((version) => ({
        service: 'shop',
        version,
        identity: manifestOf(version).identity,
        source_key: version,
        ref: 'main',
        commit_id: null,
        platform: 'linux-x64',
        size: 1,
        artifact_path: '',
        manifest_path: '',
        notes: '[]',
        built_at: wall(0),
      })),
      deployments: [],
      deployment_hosts: [],
      steps: [],
      events: [],
      rollback_points: [],
      locks: [],
      hidden: [],
    },
    touchDisk: [],
  };
  deploy(record, { id: 1, at: 10 * SECOND, kind: 'deploy', version: '1.0.0', prior: null });
  deploy(record, { id: 2, at: 50 * SECOND, kind: 'deploy', version: '1.1.0', prior: '1.0.0' });
  record.timeline.push(
    { at: 92 * SECOND, kind: 'fault.begin', id: 1, fault: 'agent.kill', host: 'web-3', harmless: true },
    { at: 93 * SECOND, kind: 'fault.end', id: 1 },
  );
  deploy(record, { id: 3, at: 130 * SECOND, kind: 'rollback', version: '1.0.0', prior: '1.1.0' });
  for (let at = 45 * SECOND; at < 49 * SECOND; at += 100)
    record.probes.push({
      at,
      until: at + 5,
      status: 200,
      host: HOSTS[at % 3]!,
      version: '1.0.0',
      error: null,
    });
  record.timeline.push(
    { at: 170 * SECOND, kind: 'quiescent', state: atRest(record) },
    { at: 180 * SECOND, kind: 'quiescent', state: atRest(record) },
    { at: 200 * SECOND, kind: 'end' },
  );
  return record;
}

interface Asked {
  id: number;
  at: number;
  kind: 'deploy' | 'rollback';
  version: string;
  prior: string | null;
}

/** Ten seconds a host; the recap is that of a success. */
function deploy(record: SampleRecord, { id, at, kind, version, prior }: Asked): void {
  const { tables, timeline } = record;
  const ended = at + 35 * SECOND;
  const argv = ['fleet', kind, 'shop', ...(kind === 'deploy' ? ['--version', version] : ['-y']), '--json'];
  const recap: SampleRecap = {
    deployment: id,
    version,
    state: 'succeeded',
    failure: null,
    exit: 0,
    hosts: HOSTS.map((host) => ({
      host,
      ok: 9,
      changed: 2,
      unreachable: 0,
      failed: 0,
      skipped: 0,
      rescued: 0,
      ignored: 0,
      running: version,
      notes: [],
    })),
  };
  timeline.push({ at: at - 100, kind: 'call.begin', id, argv, deadlineMs: 60 * SECOND });
  timeline.push({
    at: ended + 100,
    kind: 'call.end',
    id,
    exit: 0,
    killed: false,
    json: structuredClone(recap),
    stderr: '',
  });
  tables.deployments.push({
    id,
    kind,
    service: 'shop',
    environment: 'production',
    version,
    state: 'succeeded',
    by: 'test',
    why: null,
    request: '{}',
    digest: null,
    settings: '{}',
    failure: null,
    exit: 0,
    started_at: wall(at),
    ended_at: wall(ended),
  });
  let step = 0;
  const begin = (
    kindOf: string,
    host: string,
    when: number,
    outcome: string,
    args: Record<string, unknown> = {},
  ) => {
    step++;
    tables.steps.push({
      deployment: id,
      step,
      phase: 0,
      phase_name: 'batch',
      parallel: 1,
      host,
      kind: kindOf,
      rescue: 0,
      args: JSON.stringify({ kind: kindOf, ...args }),
      says: '',
      state: 'done',
      outcome,
      memo: null,
      message: null,
      error: null,
      started_at: wall(when),
      ended_at: wall(when),
      ms: 1,
    });
    tables.events.push({
      topic: `deployment/${id}`,
      at: wall(when),
      event: JSON.stringify({ type: 'step.started', step }),
    });
  };
  for (const host of HOSTS) begin('stage', host, at, kind === 'rollback' ? 'ok' : 'changed');
  if (kind === 'deploy') {
    begin('once', HOSTS[0]!, at + 1000, 'changed', { name: 'migrate' });
    ran(record, HOSTS[0]!, version, 'migrate', at + 1100, id);
  }
  HOSTS.forEach((host, index) => {
    const from = at + 2000 + index * 10 * SECOND;
    const facts = { prior: prior === null ? null : { version: prior }, hiddenByFleet: false };
    const report = { known: true, current: version, running: version, state: 'running', hidden: false };
    tables.deployment_hosts.push({
      deployment: id,
      host,
      position: index,
      facts: JSON.stringify(facts),
      report: JSON.stringify(report),
    });
    for (const kindOf of ['hide', 'drain', 'activate', 'restart', 'smoke', 'unhide', 'settle', 'record'])
      begin(kindOf, host, from, 'ok');
    tables.rollback_points.push({
      deployment: id,
      service: 'shop',
      environment: 'production',
      host,
      version,
      identity: manifestOf(version).identity,
      variables: '{}',
      at: wall(from + 8000),
      left_by: null,
    });
    record.balancer.push(
      { at: from, source: 'poll', server: host, admin: 'drain', up: prior !== null },
      { at: from + 1000, source: 'poll', server: host, admin: 'maint', up: false },
      { at: from + 6000, source: 'poll', server: host, admin: 'ready', up: true },
    );
    record.current.push({ at: from + 2000, host, target: `releases/${version}`, there: true });
    if (prior !== null) ran(record, host, prior, 'before_stop', from + 2500, id);
    ran(record, host, version, 'before_start', from + 3000, id);
    record.programs.push({
      at: from + 3500,
      host,
      version,
      name: 'service',
      event: 'begin',
      pid: pidOf(id, index),
    });
    ran(record, host, version, 'smoke', from + 4500, id);
  });
  tables.events.push({
    topic: `deployment/${id}`,
    at: wall(ended),
    event: JSON.stringify({ type: 'deployment.ended', recap }),
  });
}

const pidOf = (deployment: number, host: number) => 1000 * deployment + host;

function ran(
  { programs }: SampleRecord,
  host: string,
  version: string,
  name: string,
  at: number,
  pid: number,
): void {
  programs.push(
    { at, host, version, name, event: 'begin', pid },
    { at: at + 50, host, version, name, event: 'end', pid },
  );
}

function atRest({ tables }: SampleRecord): Quiescent {
  const each = <T>(value: (host: string, index: number) => T) =>
    Object.fromEntries(HOSTS.map((host, index) => [host, value(host, index)]));
  return {
    status: {
      services: [
        {
          service: 'shop',
          running: null,
          hosts: HOSTS.map((host) => ({
            host,
            connected: true,
            running: '1.0.0',
            state: 'running',
            balancer: 'visible',
            note: null,
          })),
        },
      ],
    },
    hosts: HOSTS.map((host) => ({ host, connected: true })),
    history: tables.deployments.map(({ id, state, exit }) => ({ id, state, exit })),
    current: each(() => 'releases/1.0.0'),
    leftovers: each(() => []),
    processes: each((_, index) => [{ pid: pidOf(3, index), argv: ['node', 'serve.js'] }]),
    daemons: {
      controller: { descriptors: 30, rss: 100_000 },
      ...each(() => ({ descriptors: 20, rss: 80_000 })),
    },
    balancer: each(() => ({ admin: 'ready', up: true })),
  };
}

export function writeRecord(directory: string, record: SampleRecord): void {
  const { run, tables, touchDisk, ...files } = record;
  writeFileSync(join(directory, 'run.json'), JSON.stringify(run));
  for (const name of ['timeline', 'balancer', 'probes', 'current', 'programs'] as const)
    writeFileSync(
      join(directory, `${name}.jsonl`),
      files[name].map((line) => `${JSON.stringify(line)}\n`).join(''),
    );
  const manifests = join(directory, 'manifests', run.service);
  mkdirSync(manifests, { recursive: true });
  for (const { version } of run.versions)
    writeFileSync(join(manifests, `${version}.json`), JSON.stringify(manifestOf(version)));
  for (const host of run.hosts) writeDisk(join(directory, 'disks', host, run.service));
  for (const host of run.hosts)
    for (const touch of touchDisk) touch(join(directory, 'disks', host, run.service), host);
  writeDatabase(join(directory, 'controller.sqlite'), tables);
}

function writeDisk(home: string): void {
  mkdirSync(join(home, 'shared/data'), { recursive: true });
  for (const version of ['1.0.0', '1.1.0']) {
    const release = join(home, 'releases', version);
    mkdirSync(join(release, 'bin'), { recursive: true });
    writeFileSync(join(release, 'bin/serve.js'), `version ${version}\n`, { mode: 0o755 });
    symlinkSync('bin/serve.js', join(release, 'serve'));
    symlinkSync('../../shared/data', join(release, 'data'));
  }
  symlinkSync('releases/1.0.0', join(home, 'current'));
}

/** With the tables as the controller makes them, so that a change of theirs is noticed. */
function writeDatabase(file: string, tables: SampleRecord['tables']): void {
  const migrations = join(import.meta.dirname, '../../../controller/store/migrations');
  const db = new Sqlite(file);
  db.pragma('synchronous = off');
  db.exec('begin');
  for (const name of readdirSync(migrations).sort()) db.exec(readFileSync(join(migrations, name), 'utf8'));
  for (const [table, rows] of Object.entries(tables))
    for (const row of rows) {
      const names = Object.keys(row);
      db.prepare(
        `insert into ${table} ("${names.join('", "')}") values (${names.map(() => '?').join()})`,
      ).run(Object.values(row));
    }
  db.exec('commit');
  db.close();
}
