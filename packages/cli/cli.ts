/** What every verb is handed. */
import type { Channel } from './print/channel.ts';

export interface Cli {
  /** What was asked for. */
  out: Channel;
  /** Everything else: errors, questions, and progress where stdout carries JSON. */
  err: Channel;
  environment: Readonly<Record<string, string | undefined>>;
  /** Ctrl-C, SIGTERM, SIGHUP or a closed stdout: stop looking. What the controller does goes on. */
  stopped: AbortSignal;
  /** Yes or no from the person at the terminal; undefined where there is none to ask. */
  ask(question: string): Promise<boolean | undefined>;
  /** The exit status, unless an error decides it. */
  exit: number;
}

/** For programs that wait: stopped watching, nothing wrong. */
export const STOPPED_WATCHING = 130;
