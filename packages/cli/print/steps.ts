/** A deployment told line by line: one for each step that ended, and on a live terminal what goes on right now. */
import type { FleetEvent } from '@fleet/protocol/api/events.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import { formatBytes } from './bytes.ts';
import type { Channel } from './channel.ts';
import { formatDuration } from './duration.ts';
import { indent, oneLine } from './escape.ts';
import { waitingLines, waysOn } from './waiting.ts';

type Ended = Extract<FleetEvent, { type: 'step.ended' }>;
type Waiting = Extract<FleetEvent, { type: 'step.waiting' }>;
type Progress = Extract<FleetEvent, { type: 'step.progress' }>;

export interface Narrator {
  tell(event: FleetEvent): void;
  /** Says again what a person has to decide about, if anything. On a live terminal it stands there. */
  remind(): void;
  /** Whether the end of a failed step's output has been shown already. */
  hasShown(output: string): boolean;
}

const KIND_WIDTH = 'activate'.length + 2;
const NAMED_HOSTS = 8;
const SHOWN_NOTES = 10;
/** Many a message says how long it took, and what part of it counts. */
const TELLS_TIME = /\d(ms|s|m|h)\b/;
const LOUD: ReadonlySet<Outcome> = new Set(['failed', 'unreachable']);

export function createNarrator(channel: Channel, deployment: number | null): Narrator {
  const { colors } = channel;
  const shown = new Set<string>();
  /** Steps that run now, as the line that changes tells of them, in the order in which they started. */
  const running = new Map<number, string>();
  /** Steps that wait for a person. */
  const waiting = new Map<number, string>();
  let hostWidth = 0;

  const columns = (kind: StepKind, host: string) => `${kind.padEnd(KIND_WIDTH)}${host.padEnd(hostWidth)}  `;
  const redraw = () =>
    channel.update(
      [
        ...waiting.values(),
        ...[...running].flatMap(([step, line]) => (waiting.has(step) ? [] : [line])),
      ].join(' | '),
    );
  const widen = (hosts: string[]) => {
    hostWidth = Math.max(hostWidth, ...hosts.map((host) => host.length));
  };

  /** What is new in the version. */
  function tellNotes(notes: string[]): void {
    for (const note of notes.slice(0, SHOWN_NOTES)) channel.print(`  + ${oneLine(note)}`);
    const more = notes.length - SHOWN_NOTES;
    if (more > 0) channel.print(`  and ${more} more: fleet releases --json`);
  }

  function tellEnd(event: Ended): void {
    const { kind, host, outcome, ms, rescue } = event;
    const message = oneLine(event.message ?? '');
    const loud = LOUD.has(outcome);
    const word = loud ? colors.red(`${outcome.toUpperCase()}: `) : message ? '' : outcome;
    const note = [
      rescue && 'going back',
      outcome === 'ignored' && 'ignored',
      ms >= 100 && !TELLS_TIME.test(message) && formatDuration(ms),
    ].filter(Boolean);
    const aside = note.length === 0 ? '' : colors.dim(`  (${note.join(', ')})`);
    channel.print(
      `${columns(kind, host)}${word}${outcome === 'skipped' ? colors.dim(message) : message}${aside}`,
    );
    if (event.output) {
      shown.add(event.output);
      for (const line of indent(event.output, '    | ')) channel.print(line);
    }
    if (loud && event.next) channel.print(`    next: ${oneLine(event.next)}`);
  }

  function tellWaiting({ step, kind, host, hook, version }: Waiting): void {
    const what = `${oneLine(hook)} of ${version} was interrupted in the middle, and may not run twice`;
    channel.print(`${columns(kind, host)}${colors.red('WAITING: ')}${what}`);
    for (const line of waitingLines(deployment, host, oneLine(hook))) channel.print(`    ${line}`);
    waiting.set(step, `waiting for a person, ${oneLine(hook)} on ${host}: ${waysOn(deployment)}`);
  }

  return {
    remind() {
      if (!channel.live) for (const line of waiting.values()) channel.print(`still ${line}`);
    },
    hasShown: (output) => shown.has(output),
    tell(event) {
      switch (event.type) {
        case 'build.started':
          channel.print(`building ${oneLine(event.service)} from ${oneLine(event.ref)}`);
          break;
        case 'build.note':
          for (const line of indent(event.text, '  ')) channel.print(line);
          break;
        case 'build.ended':
          // What is not built again, a note has told of.
          if (event.built) channel.print(`built ${event.version} in ${formatDuration(event.ms)}`);
          if (deployment !== null) tellNotes(event.notes);
          break;
        case 'deployment.started': {
          const service = oneLine(event.service);
          const environment = oneLine(event.environment);
          const act =
            event.kind === 'rollback'
              ? `rolling back ${service} to ${event.version} in ${environment}`
              : `deploying ${service} ${event.version} to ${environment}`;
          widen(event.hosts);
          channel.print(`${colors.bold(act)}: ${nameHosts(event.hosts)}  (deployment ${deployment})`);
          break;
        }
        case 'deployment.resumed':
          channel.print(`going on: ${oneLine(event.why)}`);
          break;
        case 'phase.started':
          widen(event.hosts);
          break;
        case 'step.started':
          running.set(event.step, `${event.kind} ${event.host}  ${oneLine(event.says)}`);
          redraw();
          break;
        case 'step.progress':
          running.set(event.step, `${event.kind} ${event.host}  ${formatProgress(event)}`);
          redraw();
          break;
        case 'step.waiting':
          widen([event.host]);
          tellWaiting(event);
          redraw();
          break;
        case 'step.decided': {
          const how = event.take === 'done' ? 'skips it' : 'has it run again';
          const why = event.why === null ? '' : `: ${oneLine(event.why)}`;
          waiting.delete(event.step);
          channel.print(
            `${columns(event.kind, event.host)}${oneLine(event.hook)}: ${oneLine(event.by)} ${how}${why}`,
          );
          redraw();
          break;
        }
        case 'step.ended':
          running.delete(event.step);
          waiting.delete(event.step);
          widen([event.host]);
          tellEnd(event);
          redraw();
          break;
        case 'note':
          channel.print(
            `${'note'.padEnd(KIND_WIDTH)}${event.host ? `${event.host.padEnd(hostWidth)}  ` : ''}${oneLine(event.text)}`,
          );
          redraw();
          break;
        case 'deployment.ended':
          channel.update('');
          break;
      }
    },
  };
}

function nameHosts(hosts: string[]): string {
  const more = hosts.length - NAMED_HOSTS;
  return more > 1 ? `${hosts.slice(0, NAMED_HOSTS).join(', ')} and ${more} more` : hosts.join(', ');
}

function formatProgress({ done, of, unit }: Progress): string {
  const format = unit === 'bytes' ? formatBytes : unit === 'ms' ? formatDuration : undefined;
  if (format === undefined) return `${of > 0 ? `${done} of ${of}` : done} ${oneLine(unit)}`;
  return of > 0 ? `${format(done)} of ${format(of)}, ${Math.floor((done / of) * 100)}%` : format(done);
}
