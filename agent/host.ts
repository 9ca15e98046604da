/** What the agent acts with. All of it is handed in, so that a simulation can put its own in place. */
import type { runChecks } from '@fleet/checks/runChecks.ts';
import type { run } from '@fleet/process/run.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { Run } from '@fleet/protocol/service.ts';
import type { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Logger } from 'pino';
import type { Disk } from './disk/disk.ts';
import type { Policy } from './policy/policy.ts';
import type { Supervisor } from './supervisors/supervisor.ts';
import type { Trust } from './trust/trust.ts';
import type { Own } from './upgrade/own.ts';

export interface Host {
  name: string;
  /** The agent's own id, which outlives its restarts. */
  instance: string;
  /** Releases go to ROOT/SERVICE/releases/VERSION. */
  root: string;
  /** What agent.yaml lets be done here. */
  policy: Policy;
  disk: Disk;
  /** Asked before anything of a release is received, and again before anything of it is run. */
  trust: Trust;
  /** Runs a hook. */
  run: typeof run;
  /** Ends what the hooks of an earlier life left running. Returns how many processes there were. */
  endLeftovers(instance: string): Promise<number>;
  runChecks: typeof runChecks;
  supervisorFor(run: Run): Supervisor;
  /** What nothing that leaves the agent, or that it writes down, may hold. */
  secrets: KnownSecrets;
  /** Starts again what should run from this supervisor's home and does not. Whether it had to. */
  revive(home: string): Promise<boolean>;
  /** Looks at this host, and changes nothing. */
  examine(wanted: Request<AgentMethods, 'host.examine'>): Promise<Reply<AgentMethods, 'host.examine'>>;
  /** What every program of a service finds in its environment. */
  environment: Readonly<Record<string, string>>;
  /** The agent itself, as something that is replaced. */
  own: Own;
  /** Monotonic milliseconds. */
  clock(): number;
  /** Wall time in milliseconds, for people and for what is days old. */
  now(): number;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Fires when the agent waits no longer for what runs. */
  leaving: AbortSignal;
}
