/**
 * The unit of the agent. It runs as a user of its own and starts what services need through sudo, which sets how far it can be
 * closed off: see the comments in the text.
 */
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { OWN } from '@fleet/protocol/words.ts';
import { AGENT_USER, PLACES, script } from './places.ts';

export interface AgentUnit {
  /** ROOT of agent.yaml: where releases lie, fleet's own among them. Absolute. */
  root: string;
}

/** What Node takes before it collects; and malloc's arenas are a quarter of what an idle agent would hold. */
const LEAN = '--max-semi-space-size=1';

/** A path with a blank or a `%` in it would mean something else to systemd. */
function plain(path: string): string {
  if (/^\/[A-Za-z0-9._/+@:-]*$/.test(path)) return path;
  throw new FleetError('bad_config', `root: ${JSON.stringify(path)} cannot stand in a unit`, {
    next: 'take a path of letters, digits and ._/+@:- alone',
  });
}

/** Throws `bad_config`. */
export function agentUnit({ root: given }: AgentUnit): string {
  const root = plain(given);
  const node = join(root, OWN.node, 'current/bin/node');
  const agent = join(root, OWN.agent, 'current/agent.js');
  const settle = script('settle');
  return `# Made by fleet. What should differ goes into a drop-in: systemctl edit fleet-agent
[Unit]
Description=fleet agent
Wants=network-online.target
After=network-online.target
# It is never given up: without it the host can only be mended by hand.
StartLimitIntervalSec=0

[Service]
# Ready: at once, but a release that has not proven itself yet only when the controller has answered its hello.
Type=notify
# The agent has no other way to speak to systemd than the program systemd-notify.
NotifyAccess=all
# Puts the former release of the agent back where the new one has been started once and did not become ready.
ExecStartPre=-${settle} begin ${root}
ExecStart=${node} ${LEAN} ${agent} --config ${PLACES.config}
ExecStopPost=-${settle} ended ${root}
Restart=always
RestartSec=1
# How long a new release of the agent may take to reach the controller.
TimeoutStartSec=60
# What is at work gets 20 s to end.
TimeoutStopSec=30
WatchdogSec=60
WatchdogSignal=SIGKILL
# The agent alone: services that it has started live on without it.
KillMode=process

User=${AGENT_USER}
Group=${AGENT_USER}
UMask=0022
Environment=MALLOC_ARENA_MAX=2
LimitCORE=0

# NoNewPrivileges would end sudo, by which services run as users of their own. So would all that implies it for a user that
# is not root: PrivateDevices, RestrictSUIDSGID, RestrictNamespaces, RestrictAddressFamilies, RestrictRealtime, SystemCallFilter,
# SystemCallArchitectures, LockPersonality, MemoryDenyWriteExecute, ProtectKernelTunables, ProtectKernelModules,
# ProtectKernelLogs, ProtectClock, ProtectHostname.
# What the agent starts sees what it sees. /home and /tmp stay open: hooks and services of the kind process may use them.
# ProtectControlGroups is not set either: in a container it shows the id of the outer machine's boot for that of its own.
ProtectSystem=full
# The most that anything below the agent can have, root by sudo included: to become another user and to end what runs as one;
# the rest is sudo's own. A service of the kind process may have a port below 1024.
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_AUDIT_WRITE CAP_SYS_RESOURCE CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
`;
}
