/** What an agent does for each home when it starts: after a reboot, or when a shim was killed, what should run runs again. */
import { reviveCommand } from './command.ts';
import { reviveProcess } from './process.ts';
import { wanted } from './spec.ts';
import { reviveSupervisord } from './supervisord.ts';
import { reviveSystemd } from './systemd.ts';

/** Whether anything had to be started. Throws `start_failed`; it stays wanted. */
export async function revive(home: string): Promise<boolean> {
  const spec = await wanted(home);
  if (spec === undefined) return false;
  const { run } = spec;
  switch (run.supervisor) {
    case 'process':
      return reviveProcess(home, { ...spec, run });
    case 'command':
      return reviveCommand(home, { ...spec, run });
    case 'systemd':
      return reviveSystemd(home, { ...spec, run });
    case 'supervisord':
      return reviveSupervisord(home, { ...spec, run });
    // The agent itself is looked after by systemd.
    case 'agent':
      return false;
  }
}
