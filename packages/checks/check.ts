/**
 * A check asks a service one question and says what it answered. A driver tries once and throws nothing: whatever goes wrong
 * is an answer. Trying again is runChecks' work; the contract that all drivers pass is contract.ts.
 */
import type { OutputFilter } from '@fleet/process/run.ts';
import type { User } from '@fleet/process/user.ts';
import type { Check, CheckOf } from '@fleet/protocol/service.ts';

export interface CheckContext {
  /** Of the declared variables, and VERSION. */
  values: Readonly<Record<string, string>>;
  /** Where a command runs: the release. */
  cwd: string;
  /** What a command finds in its environment. */
  environment: Readonly<Record<string, string>>;
  /** Whom a command runs as; this process's own user where not given. */
  user?: User | undefined;
  /** Ends the try. */
  signal: AbortSignal;
  /** Takes secrets out of what came back, before any of it is shown: see `KnownSecrets.stream`. */
  redact(take: (chunk: Buffer) => void): OutputFilter;
}

export interface Answer {
  passed: boolean;
  /** What came back, or why nothing did, for people. */
  detail: string;
}

export interface CheckDriver<K extends Check['kind']> {
  kind: K;
  /** Resolves soon after `context.signal` aborts, which is how a try is bounded in time. */
  try(check: CheckOf<K>, context: CheckContext): Promise<Answer>;
}
