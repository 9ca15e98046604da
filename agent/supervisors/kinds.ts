/** Every kind of supervisor there is. */
import type { Run, RunOf } from '@fleet/protocol/service.ts';
import { agentSupervisor } from './agent.ts';
import { commandSupervisor } from './command.ts';
import { processSupervisor } from './process.ts';
import type { Supervisor } from './supervisor.ts';
import { supervisordSupervisor } from './supervisord.ts';
import { systemdSupervisor } from './systemd.ts';

export const SUPERVISORS: { [K in Run['supervisor']]: Supervisor<RunOf<K>> } = {
  process: processSupervisor,
  command: commandSupervisor,
  systemd: systemdSupervisor,
  supervisord: supervisordSupervisor,
  agent: agentSupervisor,
};

export function supervisorFor(run: Run): Supervisor {
  return SUPERVISORS[run.supervisor];
}
