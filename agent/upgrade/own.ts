/**
 * The agent as something that is replaced itself. A new release is tried: it proves itself by having its hello answered, and only
 * then systemd is told that it is ready. Where that does not come in time, systemd ends it, and `settle` puts the former one back.
 */
import { randomUUID } from 'node:crypto';
import { setInterval } from 'node:timers';
import type { OwnService } from '@fleet/protocol/words.ts';
import type { Logger } from 'pino';
import type { Disk } from '../disk/disk.ts';
import { lineOf, type OwnNotes, openNotes } from './notes.ts';
import type { Systemd } from './systemd.ts';
import type { Versions } from './versions.ts';

export interface Own {
  /** What this process runs from. */
  readonly versions: Versions;
  /** This process: no other has the same. */
  readonly life: string;
  /** Undefined where no unit looks after the agent: then it cannot be replaced. */
  readonly systemd: Systemd | undefined;
  readonly notes: OwnNotes;
  /** Whether a pair of releases works here, as far as it says of itself. Throws `start_failed`. */
  test(versions: Versions): Promise<void>;
  /** Ends the agent when what is at work has ended, so that systemd starts what is current then. */
  leave(): void;
  /** Its past is in order, and it is about to dial. */
  begun(): Promise<void>;
  /** A controller has answered its hello. */
  greeted(): Promise<void>;
  /** Says nothing more. */
  close(): void;
}

export interface OwnParts extends Pick<Own, 'versions' | 'systemd' | 'test' | 'leave'> {
  root: string;
  disk: Disk;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Why an agent stops that is to be started anew: the reason of the signal. */
export const REPLACED = 'replaced';

/** A ping takes a moment, and the next one must not come too late. */
const PINGS_IN_TIME = 3;

export function openOwn({ root, disk, log, ...parts }: OwnParts): Own {
  const { versions, systemd } = parts;
  const notes = openNotes(root, disk);
  let ready = false;
  let pinging: NodeJS.Timeout | undefined;

  async function tell(state: 'READY=1' | 'WATCHDOG=1'): Promise<void> {
    const problem = await systemd?.notify(state);
    if (problem !== undefined) log.warn({ problem }, 'systemd was not told that the agent is alive');
  }
  async function becomeReady(): Promise<void> {
    if (ready) return;
    ready = true;
    await tell('READY=1');
  }

  return {
    ...parts,
    life: randomUUID(),
    notes,
    async begun() {
      if (systemd?.watchdogMs !== undefined)
        // A timer of the event loop: where that stands still, so does this.
        pinging = setInterval(() => void tell('WATCHDOG=1'), systemd.watchdogMs / PINGS_IN_TIME).unref();
      const line = lineOf(versions);
      const proven = line === undefined ? undefined : await notes.proven();
      const onTrial = proven !== undefined && proven !== line;
      if (onTrial) log.info({ versions, proven }, 'on trial: ready when the controller has answered');
      else await becomeReady();
    },
    async greeted() {
      try {
        await notes.prove(versions);
      } catch (error) {
        // Not ready, then: a release that cannot write on this host is not left in charge of it.
        log.error({ err: error }, 'it could not be written down that this release of the agent works');
        return;
      }
      await becomeReady();
    },
    close: () => clearInterval(pinging),
  };
}

/** For an agent that runs from no release and by no unit. */
export function notReplaceable(root: string, disk: Disk): Own {
  const nothing = { info() {}, warn() {}, error() {} };
  return openOwn({
    ...{ root, disk, log: nothing, systemd: undefined },
    versions: { 'fleet-agent': null, 'fleet-node': null } satisfies Record<OwnService, null>,
    test: async () => {},
    leave() {},
  });
}
