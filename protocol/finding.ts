/** What a look at a host has found: one line, and what to do about it. */
import { z } from 'zod';

/** `warn`: it works, and may not for long. `bad`: something does not work, or will not when it is needed. */
export const findingLevel = z.enum(['ok', 'warn', 'bad']);
export type FindingLevel = z.infer<typeof findingLevel>;

export const finding = z.strictObject({
  level: findingLevel,
  /** What was looked at: link, clock, disk. */
  about: z.string().max(64),
  says: z.string().max(4000),
  /** The command to go on with, or where to look. Null where all is well. */
  next: z.string().max(4000).nullable(),
});
export type Finding = z.infer<typeof finding>;

export function ok(about: string, says: string): Finding {
  return { level: 'ok', about, says, next: null };
}
export function warn(about: string, says: string, next: string): Finding {
  return { level: 'warn', about, says, next };
}
export function bad(about: string, says: string, next: string): Finding {
  return { level: 'bad', about, says, next };
}

/** The worst of them, which the exit status goes by. */
export function worst(findings: readonly Finding[]): FindingLevel {
  const levels = findings.map(({ level }) => level);
  return levels.includes('bad') ? 'bad' : levels.includes('warn') ? 'warn' : 'ok';
}
