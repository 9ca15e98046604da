import type { Named } from './flags.ts';
import type { Report, Saying } from './tell.ts';

/** What is done to each host, and what the recap calls it. */
export interface Work {
  title: string;
  /** Throws nothing: the report says what went wrong. */
  each(named: Named, report: Report, saying: Saying): Promise<void>;
}
