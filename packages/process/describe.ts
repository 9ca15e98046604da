/** How a program ended, as a value and as a line for people. */
import type { Output } from './tail.ts';

export interface Ended {
  /** Why it ended: the first reason, whatever happened after it. */
  reason: 'exited' | 'signaled' | 'timeout' | 'cancelled' | 'not_started';
  code: number | null;
  signal: string | null;
  /** Where it was not started: why. */
  output: Output;
  ms: number;
}

export function ok(ended: Ended): boolean {
  return ended.reason === 'exited' && ended.code === 0;
}

const LONGEST_COMMAND = 160;

/** `npm ci ended with exit status 1 after 3.2s` */
export function describe(ended: Ended, argv: readonly string[]): string {
  const whole = argv.join(' ');
  const command = whole.length > LONGEST_COMMAND ? `${whole.slice(0, LONGEST_COMMAND - 1)}…` : whole;
  return `${command} ${whatHappened(ended)}`;
}

function whatHappened({ reason, code, signal, output, ms }: Ended): string {
  const after = `after ${(ms / 1000).toFixed(1)}s`;
  switch (reason) {
    case 'exited':
      return `ended with exit status ${code} ${after}`;
    case 'signaled':
      return `was ended by ${signal} ${after}`;
    case 'timeout':
      return `did not end in time and was ended ${after}`;
    case 'cancelled':
      return `was cancelled ${after}`;
    case 'not_started':
      return `could not be started: ${output.text}`;
  }
}
