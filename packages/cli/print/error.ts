import { asFleetError, CODES } from '@fleet/protocol/errors.ts';
import { type Channel, openChannel } from './channel.ts';
import { indent, neutralise } from './escape.ts';

/** What went wrong, the end of what a program printed, what to do now. Returns the exit status that says so. */
export function printError(channel: Channel, thrown: unknown): number {
  const error = asFleetError(thrown);
  channel.print(`${channel.colors.red('error:')} ${neutralise(error.message)}`);
  if (typeof error.data.output === 'string')
    for (const line of indent(error.data.output, '    | ')) channel.print(line);
  if (error.next) channel.print(`next: ${neutralise(error.next)}`);
  // A fault of ours: whoever reports it needs to say where.
  if (error.code === 'internal' && error.cause instanceof Error)
    for (const line of indent(error.cause.stack ?? '', '    ')) channel.print(line);
  return CODES[error.code].exit;
}

/** For what the other two programs throw while they start. */
export function reportFailure(thrown: unknown): number {
  return printError(openChannel(process.stderr, process.env), thrown);
}
