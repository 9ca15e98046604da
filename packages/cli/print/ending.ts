/** How a deployment ended: why, what to do now, and last of all the recap. */
import type { Recap } from '@fleet/protocol/api/recap.ts';
import type { Channel } from './channel.ts';
import { indent, oneLine } from './escape.ts';
import { recapLines } from './recap.ts';

/** `wasShown`: output that the person has seen already is not printed again. */
export function printEnding(
  channel: Channel,
  recap: Recap,
  { wayBack, wasShown }: { wayBack: boolean; wasShown: (output: string) => boolean },
): void {
  const { colors } = channel;
  const { failure } = recap;
  channel.print('');
  if (failure) {
    const where = [failure.step, failure.host && `on ${failure.host}`].filter(Boolean).join(' ');
    const [first, ...rest] = indent(failure.message, '  ');
    channel.print(`${colors.red(recap.state)}: ${where && `${where}: `}${first?.trim() ?? failure.code}`);
    for (const line of rest) channel.print(line);
    if (failure.output && !wasShown(failure.output))
      for (const line of indent(failure.output, '    | ')) channel.print(line);
  }
  if (!failure && recap.state === 'aborted')
    channel.print(`${colors.red('aborted')}: what was not begun is as it was`);
  for (const { host, notes } of recap.hosts)
    for (const note of notes) channel.print(`${host}: ${oneLine(note)}`);
  for (const { host, reason } of recap.passedBy)
    if (reason !== 'not_asked')
      channel.print(
        reason === 'out'
          ? `${host}: was passed by, it is out: fleet hosts in ${host}`
          : `${host}: was passed by, its agent is not connected`,
      );
  if (failure?.next) channel.print(`next: ${oneLine(failure.next)}`);
  if (wayBack && recap.state === 'succeeded' && recap.before.some((version) => version !== recap.version))
    channel.print(`back: fleet rollback ${recap.service} -e ${recap.environment}`);
  for (const line of recapLines(recap, colors)) channel.print(line);
}
