/** What an agent does for each home when it starts: after a reboot, or when a shim was killed, what should run runs again. */
import { reviveCommand } from './command.ts';
import { reviveProcess } from './process.ts';
import { wanted } from './spec.ts';

/** Whether anything had to be started. Throws `start_failed`; it stays wanted. */
export async function revive(home: string): Promise<boolean> {
  const spec = await wanted(home);
  if (spec === undefined) return false;
  const { run } = spec;
  // The agent itself is looked after by systemd.
  if (run.supervisor === 'agent') return false;
  return run.supervisor === 'process'
    ? reviveProcess(home, { ...spec, run })
    : reviveCommand(home, { ...spec, run });
}
