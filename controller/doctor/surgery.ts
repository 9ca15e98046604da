/** What looking at a host needs of the controller. */
import type { Program } from '@fleet/protocol/api/programs.ts';
import type { CatchUp } from '../deploy/catchUp.ts';
import type { Deps } from '../deploy/context.ts';

export interface Surgery extends Pick<Deps, 'store' | 'config' | 'agents' | 'balancer'> {
  catchUp: Pick<CatchUp, 'versionOf' | 'standingOf'>;
  programs: { list(): Promise<Program[]> };
  /** Of the controller's program. */
  version: string;
  /** Milliseconds since 1970. */
  now(): number;
}
