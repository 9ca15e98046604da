/** The unit of the controller. It is no root and needs none: all that it opens is its data, and the network. */
import { FleetError } from '@fleet/protocol/errors.ts';

export interface ControllerUnit {
  /** Program and arguments, each without blanks. */
  command: readonly string[];
  user: string;
  /** Folders that it may write; all else is read-only to it. */
  writes: readonly string[];
}

export const CONTROLLER_UNIT = 'fleet-controller.service';

/** `wrong use or configuration`: to start it again would only say it again. */
const WRONG = 2;

/** Throws `bad_config` for a path that would mean more than itself there. */
export function controllerUnit({ command, user, writes }: ControllerUnit): string {
  for (const word of [...command, user, ...writes])
    if (!/^[A-Za-z0-9._/+@:=-]+$/.test(word))
      throw new FleetError('bad_config', `${JSON.stringify(word)} cannot stand in a unit of systemd`, {
        next: 'name a path of plain letters, without blanks',
      });
  return `# The unit of fleet’s controller, by fleet controller install. What should differ goes into a drop-in: systemctl edit fleet-controller
[Unit]
Description=fleet controller
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${command.join(' ')}
User=${user}
Group=${user}
Restart=always
RestartSec=2
# What is wrong in controller.yaml is still wrong two seconds later.
RestartPreventExitStatus=${WRONG}
# Deployments park within 30 s.
TimeoutStopSec=40
UMask=0077
LimitCORE=0

# Builds run in here too, as this user: what they need beyond it goes into a drop-in.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=${writes.join(' ')}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}
