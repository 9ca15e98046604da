/** Whether the agent's user has the rights that it needs, by sudo, and none beyond them. */
import { userInfo } from 'node:os';
import type { PolicyConfig } from '@fleet/config/agent.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import { ask } from './ask.ts';

const ABOUT = 'rights';
/** What nobody may who is not root already. */
const TOO_MUCH = ['/bin/sh', '-c', 'true'];

/** `agent`: the name of the user that the agent runs as. `units`: those of services, by name. */
export async function lookAtRights(
  agent: string,
  { run_as }: Pick<PolicyConfig, 'run_as'>,
  units: readonly string[],
): Promise<Finding[]> {
  if (agent === 'root')
    return [warn(ABOUT, 'the agent is root', 'fleet hosts add sets one up that is a user of its own')];
  const users = [...new Set(Object.values(run_as))].filter((user) => user !== 'self' && user !== agent);
  const may = await mayBy(agent);
  if (may === undefined)
    return users.length + units.length === 0
      ? [ok(ABOUT, `the agent is ${agent}, and needs no rules of sudo`)]
      : [bad(ABOUT, 'there is no sudo, by which services run as users of their own', 'apt-get install sudo')];
  const findings: Finding[] = [];
  const missing: string[] = [];
  for (const user of users) if (!(await may(['-u', user, '/bin/true']))) missing.push(`commands as ${user}`);
  for (const unit of units)
    if (!(await may(['systemctl', 'restart', unit]))) missing.push(`systemctl restart ${unit}`);
  if (missing.length > 0)
    findings.push(
      bad(
        ABOUT,
        `${agent} may not: ${missing.join(', ')}`,
        'fleet hosts add again puts the rules there; sudo -l -U fleet shows them',
      ),
    );
  if (await may(TOO_MUCH))
    findings.push(
      bad(
        ABOUT,
        `${agent} may do anything as root, which it must not`,
        `sudo -l -U ${agent} shows by which rule: in /etc/sudoers, or below /etc/sudoers.d`,
      ),
    );
  const has = [...users.map((user) => `commands as ${user}`), ...units.map((unit) => `restart ${unit}`)];
  return findings.length > 0
    ? findings
    : [ok(ABOUT, `${agent} may: ${has.join(', ') || 'nothing by sudo'}; and nothing as root beyond that`)];
}

type May = (argv: readonly string[]) => Promise<boolean>;

/** Asks sudo, and runs nothing. Undefined where there is none. */
async function mayBy(agent: string): Promise<May | undefined> {
  if ((await ask(['sudo', '-V'])) === undefined) return undefined;
  const whose = userInfo().username === agent ? [] : ['-U', agent];
  return async (argv) => (await ask(['sudo', '-n', ...whose, '-l', ...argv])) !== undefined;
}
