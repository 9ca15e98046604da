/** A program of supervisord that starts what the agent has written: a file that root puts below /etc/supervisor/conf.d. */
import { join } from 'node:path';
import { script } from './places.ts';
import { RECIPE } from './recipe.ts';

export interface SupervisordProgram {
  /** Its name there, as `program` in fleet.yaml has it. */
  program: string;
  service: string;
  /** Whom it runs as. */
  user: string;
  /** ROOT of agent.yaml. */
  root: string;
}

/** What the agent may read, and supervisord writes and rotates. */
export const programLog = (program: string) => `/var/log/supervisor/${program}.log`;

export function supervisordProgram({ program, service, user, root }: SupervisordProgram): string {
  for (const each of [program, service, user, root])
    if (!/^[A-Za-z0-9._/+@-]+$/.test(each))
      throw new Error(`${JSON.stringify(each)} cannot stand in a program`);
  return `; Made by fleet.
[program:${program}]
command=${script('launch')} ${join(root, service, 'run', RECIPE)}
user=${user}
directory=${join(root, service)}
autostart=true
autorestart=true
startsecs=1
stopsignal=TERM
; How long it has to end: fleet.yaml does not reach here.
stopwaitsecs=10
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=${programLog(program)}
`;
}
