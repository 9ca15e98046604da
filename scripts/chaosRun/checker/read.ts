/** A run's record, read as it lies there: no line is judged here, only put where the invariants look for it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  BalancerLine,
  CurrentLine,
  FaultKind,
  ProbeLine,
  ProgramLine,
  Quiescent,
  Run,
  TimelineLine,
} from '../record.ts';
import { type Database, readDatabase } from './database.ts';
import { Track } from './track.ts';

export interface Fault {
  fault: FaultKind;
  host: string | null;
  /** No request of a user may fail because of it. */
  harmless: boolean;
  from: number;
  to: number;
}

export interface Call {
  argv: string[];
  verb: string;
  from: number;
  /** Infinity where it never ended. */
  to: number;
  deadlineMs: number;
  exit: number | null;
  killed: boolean;
  json: unknown;
  stderr: string;
}

export interface ServerState {
  admin: 'ready' | 'drain' | 'maint';
  up: boolean;
}

export interface Evidence {
  directory: string;
  run: Run;
  timeline: TimelineLine[];
  balancer: BalancerLine[];
  probes: ProbeLine[];
  current: CurrentLine[];
  programs: ProgramLine[];
  database: Database;
  faults: Fault[];
  calls: Call[];
  rests: Array<{ at: number; state: Quiescent }>;
  /** By host: the version that `current` names; null where it names none. */
  currents: Map<string, Track<string | null>>;
  /** By host, which is its server's name too. */
  servers: Map<string, Track<ServerState>>;
  end: number;
}

/** Throws where the record is not whole: such a run shows nothing, neither good nor bad. */
export function readEvidence(directory: string): Evidence {
  const run = JSON.parse(readFileSync(join(directory, 'run.json'), 'utf8')) as Run;
  const timeline = lines<TimelineLine>(directory, 'timeline.jsonl');
  const balancer = lines<BalancerLine>(directory, 'balancer.jsonl');
  const current = lines<CurrentLine>(directory, 'current.jsonl');
  const end = timeline.find((line) => line.kind === 'end');
  if (end === undefined) throw new Error(`${directory}/timeline.jsonl has no end: the run was broken off`);
  return {
    directory,
    run,
    timeline,
    balancer,
    probes: lines<ProbeLine>(directory, 'probes.jsonl'),
    current,
    programs: lines<ProgramLine>(directory, 'programs.jsonl'),
    database: readDatabase(
      join(directory, 'controller.sqlite'),
      (wall) => run.startedAt + (wall - run.startedWall),
    ),
    faults: faultsOf(timeline),
    calls: callsOf(timeline),
    rests: timeline.flatMap((line) =>
      line.kind === 'quiescent' ? [{ at: line.at, state: line.state }] : [],
    ),
    currents: new Map(run.hosts.map((host) => [host, currentOf(current, host)])),
    servers: new Map(run.hosts.map((host) => [host, serverOf(balancer, host)])),
    end: end.at,
  };
}

function lines<T extends { at: number }>(directory: string, name: string): T[] {
  const text = readFileSync(join(directory, name), 'utf8').split('\n');
  const parsed = text.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
  return parsed.sort((a, b) => a.at - b.at);
}

function faultsOf(timeline: TimelineLine[]): Fault[] {
  const faults = new Map<number, Fault>();
  for (const line of timeline) {
    if (line.kind === 'fault.begin')
      faults.set(line.id, {
        fault: line.fault,
        host: line.host,
        harmless: line.harmless,
        from: line.at,
        to: Number.POSITIVE_INFINITY,
      });
    const begun = line.kind === 'fault.end' && faults.get(line.id);
    if (begun) begun.to = line.at;
  }
  return [...faults.values()];
}

function callsOf(timeline: TimelineLine[]): Call[] {
  const calls = new Map<number, Call>();
  for (const line of timeline) {
    if (line.kind === 'call.begin') {
      calls.set(line.id, {
        argv: line.argv,
        verb: line.argv.find((word) => /^[a-z]/.test(word) && word !== 'fleet') ?? '',
        from: line.at,
        to: Number.POSITIVE_INFINITY,
        deadlineMs: line.deadlineMs,
        exit: null,
        killed: false,
        json: null,
        stderr: '',
      });
    }
    const begun = line.kind === 'call.end' && calls.get(line.id);
    if (begun) {
      const { at: to, exit, killed, json, stderr } = line;
      Object.assign(begun, { to, exit, killed, json, stderr });
    }
  }
  return [...calls.values()];
}

/** `releases/1.2.0` names 1.2.0. */
export function versionIn(target: string | null): string | null {
  return /^releases\/([^/]+)$/.exec(target ?? '')?.[1] ?? null;
}

function currentOf(lines: CurrentLine[], host: string): Track<string | null> {
  const mine = lines.filter((line) => line.host === host);
  return new Track(mine.map(({ at, target }) => ({ at, value: versionIn(target) })));
}

function serverOf(lines: BalancerLine[], host: string): Track<ServerState> {
  const mine = lines.flatMap((line) =>
    line.source === 'poll' && line.server === host
      ? [{ at: line.at, value: { admin: line.admin, up: line.up } }]
      : [],
  );
  return new Track(mine, (a, b) => a.admin === b.admin && a.up === b.up);
}
