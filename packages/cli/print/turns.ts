/** What was done about each service of one host, a line each, and a recap in the form that deployments have. */
import type { Turn } from '@fleet/protocol/api/standing.ts';
import type { Channel } from './channel.ts';
import { formatDuration } from './duration.ts';
import { oneLine } from './escape.ts';
import { countLine } from './recap.ts';
import { layOut } from './table.ts';

export function printTurns(channel: Channel, turns: readonly Turn[]): void {
  const rows = turns.map(({ service, environment, outcome, message }) => [
    `  ${service}`,
    environment ?? '',
    outcome,
    oneLine(message),
  ]);
  for (const line of layOut(rows)) channel.print(line);
}

export function printTurnsRecap(
  channel: Channel,
  { what, host, turns, ms }: { what: string; host: string; turns: readonly Turn[]; ms: number },
): void {
  const { colors } = channel;
  const count = (...outcomes: Array<Turn['outcome']>) =>
    turns.filter(({ outcome }) => outcomes.includes(outcome)).length;
  channel.print(colors.bold(`RECAP ${what} ${host}, ${formatDuration(ms)}`));
  const counts = {
    ok: count('ok', 'changed'),
    changed: count('changed'),
    unreachable: 0,
    failed: count('failed'),
    skipped: count('skipped'),
    rescued: 0,
    ignored: 0,
  };
  channel.print(countLine(host, counts, colors).trimEnd());
}
