/** Whether systemd started this process by the agent's unit: then it is on a host in earnest. */
import { readFileSync } from 'node:fs';
import { AGENT_UNIT } from '@fleet/units/places.ts';

export function startedByUnit(): boolean {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  return lines.some((line) => line.split('/').includes(AGENT_UNIT));
}
