import { FleetError } from '@fleet/protocol/errors.ts';

/** Node runs a timer that is set beyond this at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `late` in `ms`, by Node's monotonic timer. */
export function setDeadline(ms: number, late: () => void): NodeJS.Timeout {
  return setTimeout(late, Math.min(ms, LONGEST_MS));
}

/** Why a signal fired, as an error that names what it ended: the FleetError that it was fired with, or `timeout` or `aborted`. */
export function firedBy(signal: AbortSignal, what: string): FleetError {
  const reason: unknown = signal.reason;
  if (reason instanceof FleetError) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return late
    ? new FleetError('timeout', `${what} was not done in time`, { cause: reason })
    : new FleetError('aborted', `${what} was given up`, { cause: reason });
}
