/** What whoever adds hosts sees: a line an act, on a live terminal what goes on right now, and the recap at the end. */
import { formatBytes } from '@fleet/cli/print/bytes.ts';
import type { Channel } from '@fleet/cli/print/channel.ts';
import { formatDuration } from '@fleet/cli/print/duration.ts';
import { indent, oneLine } from '@fleet/cli/print/escape.ts';
import { hostLines } from '@fleet/cli/print/recap.ts';
import type { RecapHost } from '@fleet/protocol/api/recap.ts';
import { CODES, type FleetError } from '@fleet/protocol/errors.ts';
import type { Act, Kind } from './acts.ts';
import type { Named } from './flags.ts';
import type { ActOutcome, Telling } from './perform.ts';

export interface DoneAct {
  kind: Kind;
  says: string;
  /** `planned` in a dry run. */
  outcome: ActOutcome | 'planned';
  ms: number;
}
/** What became of one host. */
export interface Report {
  host: string;
  address: string;
  acts: DoneAct[];
  /** What was as it should be already. */
  held: number;
  notes: string[];
  failure: FleetError | undefined;
  /** The agent's version on it, where it is known. */
  running: string | null;
  ms: number;
  /** Of programs. */
  sent: { bytes: number };
}

export function emptyReport({ host, address }: Named): Report {
  return {
    ...{ host, address, acts: [], held: 0, notes: [] },
    ...{ failure: undefined, running: null, ms: 0, sent: { bytes: 0 } },
  };
}

export interface Saying extends Telling {
  /** Something else than an act. */
  line(kind: string, text: string): void;
  would(act: Act): void;
}

const KIND_WIDTH = 10;

/** One at work among several: their lines are told apart by their names. */
export function sayingOf(channel: Channel, report: Report, width: number): Saying {
  let since = 0;
  const { colors } = channel;
  const head = (kind: string) => `${report.host.padEnd(width)} ${kind.padEnd(KIND_WIDTH)}`;
  const words = { ok: colors.green, changed: colors.yellow, failed: colors.red, unreachable: colors.red };
  return {
    began(act) {
      since = performance.now();
      channel.update(`${head(act.kind)} ${oneLine(act.says)} …`);
    },
    moved({ kind, says }, bytes, of) {
      channel.update(`${head(kind)} ${oneLine(says)}: ${formatBytes(bytes)} of ${formatBytes(of)}`);
    },
    ended({ kind, says }, outcome, note) {
      const ms = outcome === 'skipped' ? 0 : performance.now() - since;
      report.acts.push({ kind, says, outcome, ms: Math.round(ms) });
      if (note !== undefined) report.notes.push(note);
      if (outcome === 'skipped') return;
      const word = words[outcome](outcome.padEnd(11));
      channel.print(`${head(kind)} ${word} ${oneLine(says)}  ${colors.dim(formatDuration(ms))}`);
    },
    line: (kind, text) => channel.print(`${head(kind)} ${oneLine(text)}`),
    would({ kind, says }) {
      report.acts.push({ kind, says, outcome: 'planned', ms: 0 });
      channel.print(`${head(kind)} ${colors.cyan('would'.padEnd(11))} ${oneLine(says)}`);
    },
  };
}

export function recapHostOf(report: Report): RecapHost {
  const count = (...outcomes: Array<DoneAct['outcome']>) =>
    report.acts.filter((act) => outcomes.includes(act.outcome)).length;
  const unreachable = isUnreachable(report.failure) ? 1 : 0;
  const failed = report.failure !== undefined && unreachable === 0 ? 1 : 0;
  return {
    host: report.host,
    ok: report.held + count('ok', 'changed'),
    changed: count('changed'),
    ...{ unreachable, failed },
    skipped: count('skipped', 'planned'),
    ...{ rescued: 0, ignored: 0 },
    running: report.running,
    notes: report.notes,
  };
}

function isUnreachable(failure: FleetError | undefined): boolean {
  return failure !== undefined && /^(ssh_|host_key_)/.test(failure.code);
}

/** Why, what now, notes, and last of all the recap. */
export function printReports(channel: Channel, title: string, reports: readonly Report[], ms: number): void {
  const { colors } = channel;
  channel.print('');
  for (const { failure } of reports) {
    if (failure === undefined) continue;
    channel.print(`${colors.red('failed')}: ${oneLine(failure.message)}`);
    if (typeof failure.data.output === 'string' && failure.data.output !== '')
      for (const each of indent(failure.data.output, '    | ')) channel.print(each);
    if (failure.next !== undefined) channel.print(`next: ${oneLine(failure.next)}`);
  }
  for (const { host, notes } of reports) for (const note of notes) channel.print(`${host}: ${oneLine(note)}`);
  channel.print(colors.bold(`RECAP ${title}, ${formatDuration(ms)}`));
  for (const each of hostLines(reports.map(recapHostOf), colors)) channel.print(each);
}

/** As for a deployment: 0 all is as it should be, 3 where every failure was a refusal and nothing was changed, else 1. */
export function exitOf(reports: readonly Report[]): number {
  const failed = reports.filter(({ failure }) => failure !== undefined);
  if (failed.length === 0) return 0;
  const exits = new Set(failed.map(({ failure }) => CODES[failure!.code].exit));
  const changed = reports.some(({ acts }) => acts.some(({ outcome }) => outcome === 'changed'));
  const [only] = exits;
  return exits.size === 1 && !changed && failed.length === reports.length ? only! : 1;
}

/** For programs: what the recap counts, and what was done of what. */
export function documentOf(title: string, reports: readonly Report[], ms: number, exit: number): object {
  return {
    title,
    exit,
    durationMs: Math.round(ms),
    hosts: reports.map((report) => ({
      ...recapHostOf(report),
      address: report.address,
      durationMs: Math.round(report.ms),
      sentBytes: report.sent.bytes,
      acts: report.acts,
      failure: report.failure?.toJSON() ?? null,
    })),
  };
}
