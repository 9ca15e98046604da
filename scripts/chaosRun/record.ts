/**
 * What a chaos run leaves behind for its checker: files of JSON lines in one folder, and copies of disks. The run writes
 * them from outside the product; the checker reads nothing else. Every `at` is in milliseconds of the machine's monotonic
 * clock (`process.hrtime`), which all processes of one machine share.
 *
 *   run.json            Run
 *   timeline.jsonl      TimelineLine: faults, calls of the CLI, checkpoints
 *   balancer.jsonl      BalancerLine: HAProxy's own log, by syslog, and a listing of its states
 *   probes.jsonl        ProbeLine: every request of the prober through the balancer
 *   current.jsonl       CurrentLine: what `current` named on each host, whenever it differed from the last look
 *   programs.jsonl      ProgramLine: one line at the start and one at the end of each hook, once step and service program,
 *                       appended by the program itself (O_APPEND, one write)
 *   disks/HOST/         the host's root as it was at the end
 *   manifests/SERVICE/VERSION.json   manifests as the controller's shelf has them
 *   controller.sqlite   a copy of the database, taken at the end
 */

export interface Run {
  seed: number;
  minutes: number;
  service: string;
  hosts: string[];
  /** As controller.yaml has it: how many hosts may be hidden at once, and how many must stay visible. */
  maxHidden: number;
  minVisible: number;
  /** Product versions that exist, oldest first; `broken` ones fail their smoke check. */
  versions: Array<{ version: string; broken: boolean }>;
  /** Hooks and once steps that may run again after an interruption. */
  repeatable: string[];
  startedAt: number;
  /** `Date.now()` at `startedAt`: the database has wall time. The clock of the machine is not turned during a run. */
  startedWall: number;
}

export type FaultKind =
  | 'controller.kill'
  | 'controller.stop' // SIGTERM, and started again
  | 'controller.freeze' // SIGSTOP, later SIGCONT
  | 'agent.kill'
  | 'agent.stop'
  | 'agent.freeze'
  | 'host.reboot' // agent and all its services killed, agent started again
  | 'link.cut' // both ways, packets dropped
  | 'link.oneway'
  | 'link.reset' // open connections are reset
  | 'link.loss'
  | 'link.slow'
  | 'link.flap'
  | 'disk.full' // the host's disk
  | 'store.full' // the controller's disk
  | 'store.locked'
  | 'balancer.gone' // its runtime socket does not answer
  | 'service.kill'
  | 'cli.kill';

export type TimelineLine =
  /**
   * `host`: null where it is the controller, its store, its balancer or a call. `harmless`: it touches neither a service nor
   * the way to it (a link is then only the one between agent and controller), so no request of a user may fail because of it.
   */
  | {
      at: number;
      kind: 'fault.begin';
      id: number;
      fault: FaultKind;
      host: string | null;
      harmless: boolean;
    }
  | { at: number; kind: 'fault.end'; id: number }
  /** `deadlineMs`: the longest that this call may take. */
  | { at: number; kind: 'call.begin'; id: number; argv: string[]; deadlineMs: number }
  /** `stdout` of calls with --json is parsed into `json`. `killed`: the nemesis ended it. */
  | {
      at: number;
      kind: 'call.end';
      id: number;
      exit: number | null;
      killed: boolean;
      json: unknown;
      stderr: string;
    }
  /** All faults are healed for a while, nothing runs: state of everything at this moment. */
  | { at: number; kind: 'quiescent'; state: Quiescent }
  | { at: number; kind: 'end' };

export interface Quiescent {
  /** `fleet status --json`, `fleet hosts --json`, `fleet history --json` at this moment. */
  status: unknown;
  hosts: unknown;
  history: unknown;
  /** `readlink current`, null where there is none. */
  current: Record<string, string | null>;
  /** Names in HOST/SERVICE/staging, and names beginning with a dot beside `current`. */
  leftovers: Record<string, string[]>;
  /** Processes below each agent and service: pid and argv. */
  processes: Record<string, Array<{ pid: number; argv: string[] }>>;
  /** Open descriptors and resident KiB of each daemon. */
  daemons: Record<string, { descriptors: number; rss: number }>;
  /** HAProxy's admin state of each server: ready, drain or maint; and whether it reports it up. */
  balancer: Record<string, { admin: string; up: boolean }>;
}

export type BalancerLine =
  /** From the runtime socket's `show servers state`, polled often: written whenever a server's state differs. */
  | { at: number; source: 'poll'; server: string; admin: 'ready' | 'drain' | 'maint'; up: boolean }
  /** From syslog, as it came. */
  | { at: number; source: 'log'; text: string };

export interface ProbeLine {
  /** When it was sent. */
  at: number;
  /** When the answer was complete, or it failed. */
  until: number;
  /** Null: no answer. */
  status: number | null;
  host: string | null;
  version: string | null;
  error: string | null;
}

export interface CurrentLine {
  at: number;
  host: string;
  /** What readlink gave, null where there is no such name, `not a link` where it is something else. */
  target: string | null;
  /** Whether it led to a directory. */
  there: boolean;
}

export interface ProgramLine {
  at: number;
  host: string;
  version: string;
  /**
   * `before_start`, `after_start`, `before_stop`, `after_stop`, a once step's name, `smoke` or `service`. Smoke checks are
   * commands that write their `end` only where they pass; in a run where none writes, nothing is said of smoke tests.
   */
  name: string;
  event: 'begin' | 'end';
  pid: number;
}
