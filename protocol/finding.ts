/** What a look at a host has found: one line, and what to do about it. */
import { z } from 'zod';

/** `warn`: it works, and may not for long. `bad`: something does not work, or will not when it is needed. */
export const findingLevel = z.enum(['ok', 'warn', 'bad']);
export type FindingLevel = z.infer<typeof findingLevel>;

/** Characters of one line. */
const MOST = 4000;

export const finding = z.strictObject({
  level: findingLevel,
  /** What was looked at: link, clock, disk. */
  about: z.string().max(200),
  says: z.string().max(MOST),
  /** The command to go on with, or where to look. Null where all is well. */
  next: z.string().max(MOST).nullable(),
});
export type Finding = z.infer<typeof finding>;

export function ok(about: string, says: string): Finding {
  return { level: 'ok', about, says: says.slice(0, MOST), next: null };
}
export function warn(about: string, says: string, next: string): Finding {
  return { level: 'warn', about, says: says.slice(0, MOST), next: next.slice(0, MOST) };
}
export function bad(about: string, says: string, next: string): Finding {
  return { level: 'bad', about, says: says.slice(0, MOST), next: next.slice(0, MOST) };
}

/** The worst of them, which the exit status goes by. */
export function worst(findings: readonly Finding[]): FindingLevel {
  const levels = findings.map(({ level }) => level);
  return levels.includes('bad') ? 'bad' : levels.includes('warn') ? 'warn' : 'ok';
}
