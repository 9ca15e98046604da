/** Starting, stopping and asking after a service on this host. */
import type { User } from '@fleet/process/user.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { Run } from '@fleet/protocol/service.ts';

/** A service, before anything of it is there. */
export interface Place<R extends Run = Run> {
  /** This host's name, for messages. */
  host: string;
  service: string;
  run: R;
  /** Whom its programs run as; undefined for the agent's own user. */
  user?: User | undefined;
}

/** One version of a service as it runs on this host. */
export interface Instance<R extends Run = Run> extends Place<R> {
  version: string;
  /** The release's directory with every link in its path resolved: where its programs run. */
  release: string;
  /** ROOT/SERVICE/run: what the supervisor remembers, and the log. */
  home: string;
  /** Puts values in the place of variables. */
  argvOf(argv: string[]): string[];
  /** The whole environment of its programs. */
  environment: Record<string, string>;
  /** What of it nobody may read elsewhere, by name. */
  secrets: Record<string, string>;
}

/**
 * One call at a time for one home. `start` and `stop` are safe to repeat: what holds already is left alone.
 */
export interface Supervisor<R extends Run = Run> {
  /** Afterwards this version runs and no other. Throws `start_failed` with the end of its output; then nothing runs. */
  start(instance: Instance<R>): Promise<void>;
  /** Afterwards nothing of it runs. Throws `stop_failed`. */
  stop(instance: Instance<R>): Promise<void>;
  /** `failed` and `recovering`: it crashes and is started again. */
  status(instance: Instance<R>): Promise<ServiceState>;
  /** Asked before anything of a version is put here. Throws `not_provisioned` where this host has not what it takes. */
  require?(place: Place<R>): Promise<void>;
}
