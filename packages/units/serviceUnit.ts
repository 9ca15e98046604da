/**
 * The unit of a service: a text that root puts there once, the same for every version. What it starts is in the service's run
 * folder, where the agent writes it; the unit itself no agent can change.
 */
import { join } from 'node:path';
import { AGENT_UNIT, script } from './places.ts';
import { HALTING, RECIPE } from './recipe.ts';

export interface ServiceUnit {
  service: string;
  /** Whom it runs as: neither root nor the agent. */
  user: string;
  /** ROOT of agent.yaml. Absolute. */
  root: string;
}

/** Throws for a service that would have the agent's own unit. */
export function unitOf(service: string): string {
  const unit = `fleet-${service}.service`;
  if (unit === AGENT_UNIT) throw new Error(`a service called ${service} would have the agent’s own unit`);
  return unit;
}

/** In systemd's own language a `%` or a blank is more than itself. */
function plain(text: string): string {
  if (/^[A-Za-z0-9._/+@:-]+\$?$/.test(text)) return text;
  throw new Error(`${JSON.stringify(text)} cannot stand in a unit`);
}

/** For SERVICE, as `unitOf` names it. It is to be enabled: after a boot it comes back without the agent. */
export function serviceUnit({ service, user, root }: ServiceUnit): string {
  const run = plain(join(root, service, 'run'));
  return `# Made by fleet. What should differ goes into a drop-in: systemctl edit ${unitOf(service).replace('.service', '')}
[Unit]
Description=${plain(service)}, deployed by fleet
Wants=network-online.target
After=network-online.target
# There is something to start for as long as the service should run.
ConditionPathExists=${join(run, RECIPE)}
# A service that crashes is started again for ever.
StartLimitIntervalSec=0

[Service]
# Becomes the program that was deployed. Says READY for one that does not say it itself.
Type=notify
NotifyAccess=all
ExecStart=${script('launch')} ${join(run, RECIPE)}
# Asks it to end, as its fleet.yaml says how and for how long. What is left then is killed.
ExecStop=${script('halt')} ${join(run, HALTING)}
KillMode=control-group
KillSignal=SIGKILL
Restart=always
RestartSec=1
# The agent waits as long as fleet.yaml says, and not so long.
TimeoutStartSec=1h
TimeoutStopSec=1h

User=${plain(user)}
WorkingDirectory=${plain(join(root, service))}
UMask=0022
SyslogIdentifier=${plain(service)}

# No rights that it does not begin with, and nothing of the machine's own to change.
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictSUIDSGID=yes
ProtectSystem=full
ProtectControlGroups=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`;
}
