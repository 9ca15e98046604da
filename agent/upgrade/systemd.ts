/** What the agent says to its own systemd, and asks of it. No rights are needed for any of it but being of the unit. */
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { describe, ok, run } from '@fleet/process/run.ts';
import { AGENT_UNIT } from '@fleet/units/places.ts';

export interface Systemd {
  /** How often it wants to hear that the agent is alive, in milliseconds; undefined where it does not ask. */
  watchdogMs: number | undefined;
  /** Undefined where it was told, else why not. */
  notify(state: 'READY=1' | 'WATCHDOG=1'): Promise<string | undefined>;
  /** How long a start may take, as people write it: `1min`. */
  startLimit(): Promise<string | undefined>;
  /** The end of what the unit has printed. `since`: wall time in milliseconds. */
  printed(since: number): Promise<string>;
}

const ASKED_MS = 10_000;

/** Undefined where this process was not started by a unit that waits for its word. */
export function systemdOf({ NOTIFY_SOCKET, WATCHDOG_USEC }: NodeJS.ProcessEnv): Systemd | undefined {
  if (NOTIFY_SOCKET === undefined) return undefined;
  const env = cleanEnvironment({ NOTIFY_SOCKET });
  const ask = (...argv: string[]) => run({ argv, cwd: '/', env, timeoutMs: ASKED_MS });
  return {
    watchdogMs: WATCHDOG_USEC === undefined ? undefined : Number(WATCHDOG_USEC) / 1000,
    async notify(state) {
      const argv = ['systemd-notify', state];
      const ended = await ask(...argv);
      return ok(ended) ? undefined : describe(ended, argv);
    },
    async startLimit() {
      const ended = await ask('systemctl', 'show', '--property=TimeoutStartUSec', '--value', AGENT_UNIT);
      return ok(ended) ? ended.output.text.trim() || undefined : undefined;
    },
    async printed(since) {
      const from = `--since=@${Math.floor(since / 1000)}`;
      const ended = await ask(
        'journalctl',
        '--no-pager',
        '--output=cat',
        '--lines=60',
        from,
        // What its processes printed, without what systemd says of them.
        `_SYSTEMD_UNIT=${AGENT_UNIT}`,
      );
      return ended.output.text;
    },
  };
}
