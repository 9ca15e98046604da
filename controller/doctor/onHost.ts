/** Commands to copy to a host, for when nothing of fleet's answers there. */
import { join } from 'node:path';
import { OWN } from '@fleet/protocol/words.ts';
import { AGENT_USER, PLACES } from '@fleet/units/places.ts';

/** Where `fleet hosts add` puts releases. */
const ROOT = '/srv/fleet';

export function agentDoctor(): string {
  const [node, agent] = [join(ROOT, OWN.node, 'current/bin/node'), join(ROOT, OWN.agent, 'current/agent.js')];
  return `sudo -u ${AGENT_USER} ${node} ${agent} doctor --config ${PLACES.config}`;
}
