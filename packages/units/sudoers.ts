/**
 * What the agent may do that it has no rights for itself: start and stop exactly these units as root, and run commands as exactly
 * these users. Whoever owns the agent owns these services, and nothing else of the host.
 */
import { AGENT_UNIT, AGENT_USER } from './places.ts';

export const SUDOERS = '/etc/sudoers.d/fleet';

export interface Rights {
  /** Users that services run as: neither root nor the agent. */
  users: readonly string[];
  /** Units of services: fleet's (`unitOf`) and the team's own. Never the agent's. */
  units: readonly string[];
  /** Programs of supervisord. */
  programs?: readonly string[];
  systemctl?: string;
  supervisorctl?: string;
}

/** What may be said of a unit, or of a program of supervisord. */
export const UNIT_VERBS = ['start', 'stop', 'restart'] as const;
export const PROGRAM_VERBS = ['start', 'stop', 'status'] as const;

/** Sudo takes a name in capitals for an alias. */
export const SUDO_USER = /^[a-z_][A-Za-z0-9_.-]{0,31}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,250}$/;

/** What holds for all that this user has sudo run. */
export const besidesCommands = (user: string) => `\
# The command takes the place of sudo itself, so that it is known by the number of what was started.
Defaults:${user} !use_pty, !requiretty, !pam_session, !pam_setcred, !log_input, !log_output, !lecture`;

/** The whole file, to be 0440 and root's; `visudo -c` must find it well before it counts. Throws for a name that could mean more than itself. */
export function sudoers(rights: Rights): string {
  const { users, units, programs = [] } = rights;
  const { systemctl = '/usr/bin/systemctl', supervisorctl = '/usr/bin/supervisorctl' } = rights;
  for (const user of users) require(SUDO_USER.test(user) && user !== 'root' && user !== AGENT_USER, user);
  for (const unit of units)
    require(NAME.test(unit) && unit.endsWith('.service') && unit !== AGENT_UNIT, unit);
  for (const program of programs) require(NAME.test(program) && program !== 'all', program);
  const asRoot = [
    ...units.flatMap((unit) => UNIT_VERBS.map((verb) => `${systemctl} ${verb} ${unit}`)),
    ...programs.flatMap((program) => PROGRAM_VERBS.map((verb) => `${supervisorctl} ${verb} ${program}`)),
  ];
  return `${[
    '# Made by fleet: what its agent may do besides what its user may.',
    besidesCommands(AGENT_USER),
    '# Programs of a service get the environment of their fleet.yaml.',
    ...users.map((user) => `Defaults>${user} !secure_path, !env_delete, !env_check`),
    ...asRoot.map((each) => `${AGENT_USER} ALL=(root) NOPASSWD: ${each}`),
    ...users.map((user) => `${AGENT_USER} ALL=(${user}) NOPASSWD:SETENV: ALL`),
  ].join('\n')}\n`;
}

function require(good: boolean, name: string): void {
  if (!good) throw new Error(`no rule is made for ${JSON.stringify(name)}`);
}
