/** Where fleet's own things lie on a host, for whoever puts them there and whoever relies on them. */
import { join } from 'node:path';

export const PLACES = {
  /** The host's own policy: root's, so that neither the agent nor a controller changes it. */
  config: '/etc/fleet/agent.yaml',
  units: '/etc/systemd/system',
  /** Short scripts that units start. */
  scripts: '/usr/local/lib/fleet',
} as const;

/** The user that the agent runs as, and its group. */
export const AGENT_USER = 'fleet';
export const AGENT_UNIT = 'fleet-agent.service';

export const script = (name: 'settle' | 'launch' | 'halt') => join(PLACES.scripts, name);
