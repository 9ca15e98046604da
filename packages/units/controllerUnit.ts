/**
 * The unit of the controller. It is no root and needs none: all that it opens is its data, and the network. Builds run as another
 * user by sudo, which sets how far it can be closed off: see the comments in the text.
 */
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

# Builds run in here too, as a user of their own: what they need beyond it goes into a drop-in.
# NoNewPrivileges would end sudo, by which they become that user. So would all that implies it for a user that is not root:
# PrivateDevices, RestrictSUIDSGID, RestrictNamespaces, RestrictAddressFamilies, RestrictRealtime, SystemCallFilter,
# SystemCallArchitectures, LockPersonality, MemoryDenyWriteExecute, ProtectKernelTunables, ProtectKernelModules,
# ProtectKernelLogs, ProtectClock, ProtectHostname. A build itself is started so that it can get no other rights.
# The most that anything in here can have, root by sudo included: to become another user. Nothing in here can be more than that.
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_AUDIT_WRITE CAP_SYS_RESOURCE
DevicePolicy=closed
ProtectSystem=strict
ReadWritePaths=${writes.join(' ')}
ProtectHome=read-only
PrivateTmp=yes
ProtectProc=invisible
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
`;
}
