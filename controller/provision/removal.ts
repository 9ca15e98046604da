/** What takes fleet off a host again: looked for, then removed, each an act that says itself. Run again, it finds nothing. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { AGENT_UNIT, AGENT_USER, PLACES } from '@fleet/units/places.ts';
import { SUDOERS } from '@fleet/units/sudoers.ts';
import type { Act, Kind } from './acts.ts';
import type { Root } from './root.ts';
import { DATA, ROOT, SUPERVISORD } from './wanted.ts';

/** What there is of fleet on a host. */
export interface Traces {
  /** Units of services, which fleet has made. */
  units: string[];
  agentUnit: boolean;
  /** Programs of supervisord, which fleet has made: files. */
  programs: string[];
  /** It can still be asked to end the services. */
  agent: boolean;
  sudoers: boolean;
  folders: string[];
  /** Services with data that outlives releases. */
  shared: string[];
  /** Users that fleet has made, the agent's among them. */
  users: string[];
}

const FOLDERS = ['/etc/fleet', PLACES.scripts, DATA, ROOT];

const LOOK = `
units=$1 agent=$2 sudoers=$3 root=$4
shift 4
say() { printf '%s\\t%s\\n' "$1" "$2"; }
for unit in "$units"/fleet-*.service; do
  [ -f "$unit" ] && head -n 1 "$unit" | grep -q '^# Made by fleet' && say unit "$(basename "$unit")"
done
for program in ${SUPERVISORD}/fleet-*.conf; do
  [ -f "$program" ] && head -n 1 "$program" | grep -q '^; Made by fleet' && say program "$program"
done
[ -x "$root/fleet-node/current/bin/node" ] && [ -f "$root/fleet-agent/current/agent.js" ] && [ -f /etc/fleet/agent.yaml ] && say agent yes
[ -e "$sudoers" ] && say sudoers yes
for folder in "$@"; do [ -e "$folder" ] && say folder "$folder"; done
for shared in "$root"/*/shared; do
  [ -d "$shared" ] && [ -n "$(ls -A "$shared")" ] && say shared "$(basename "$(dirname "$shared")")"
done
[ -f /etc/fleet/made ] && while read -r word name; do
  [ "$word" = user ] && getent passwd "$name" >/dev/null && say user "$name"
done </etc/fleet/made
exit 0
`;

/** Throws `ssh_lost`, `act_failed`. */
export async function lookForTraces(root: Root): Promise<Traces> {
  const args = [PLACES.units, AGENT_UNIT, SUDOERS, ROOT, ...FOLDERS];
  const { code, stdout, stderr } = await root.run(LOOK, { args, timeoutMs: 60_000 });
  if (code !== 0)
    throw new FleetError('act_failed', `${root.host} could not be looked at: ${stderr.trim()}`, {
      data: { host: root.host },
    });
  const lines = stdout.split('\n').map((line) => line.split('\t'));
  const all = (key: string) => lines.flatMap(([word, value = '']) => (word === key ? [value] : []));
  const units = all('unit');
  return {
    units: units.filter((unit) => unit !== AGENT_UNIT),
    agentUnit: units.includes(AGENT_UNIT),
    programs: all('program'),
    agent: all('agent').length > 0,
    sudoers: all('sudoers').length > 0,
    folders: all('folder'),
    shared: all('shared'),
    users: [...new Set(all('user'))],
  };
}

/** `withData`: what services keep beside their releases goes, too. */
export function planRemoval(traces: Traces, withData: boolean): Act[] {
  const { units, agentUnit, programs, agent, sudoers, folders, shared, users } = traces;
  const acts: Act[] = [];
  const keep = shared.length > 0 && !withData;
  if (agentUnit)
    acts.push(
      root('unit', `stop ${AGENT_UNIT}, for good`, 'systemctl disable --quiet --now -- "$1"', [AGENT_UNIT]),
    );
  if (agent)
    acts.push(root('agent', 'let the agent end every service that it looks after', END_SERVICES, [ROOT]));
  for (const unit of units)
    acts.push(root('unit', `stop ${unit}, for good`, 'systemctl disable --quiet --now -- "$1"', [unit]));
  const files = [...(agentUnit ? [AGENT_UNIT] : []), ...units].map((unit) => `${PLACES.units}/${unit}`);
  if (files.length > 0)
    acts.push(root('file', `remove ${files.join(', ')}`, 'rm -f -- "$@"\nsystemctl daemon-reload', files));
  if (programs.length > 0)
    acts.push(
      root('file', `remove ${programs.join(', ')}`, 'rm -f -- "$@"\nsupervisorctl update >&2', programs),
    );
  if (sudoers) acts.push(root('file', `remove ${SUDOERS}`, 'rm -f -- "$1"', [SUDOERS]));
  // To whom data belongs that stays has to stay, too.
  for (const user of users.filter((name) => !keep || name === AGENT_USER).sort(agentLast))
    acts.push(root('user', `remove the user ${user}, and what runs as it`, REMOVE_USER, [user]));
  for (const folder of folders) {
    const stays = keep && folder === ROOT;
    if (stays && users.every((name) => name !== AGENT_USER) && files.length === 0) continue;
    const says = stays
      ? `remove ${folder}, but for ${shared.map((name) => `${name}/shared`).join(', ')}`
      : `remove ${folder}`;
    acts.push(
      root('directory', says, stays ? REMOVE_BUT_DATA : 'rm -rf --one-file-system -- "$1"', [folder]),
    );
  }
  return acts;
}

/** By its own rules, which are still there; whatever is left of a user's processes ends with the user. */
const END_SERVICES = `cd /
runuser -u fleet -- "$1/fleet-node/current/bin/node" "$1/fleet-agent/current/agent.js" --end-services --config /etc/fleet/agent.yaml >&2 ||
  echo 'the agent could not end them all; they end with their users' >&2`;

const REMOVE_USER = `for process in /proc/[0-9]*; do
  [ "$(stat -c %U "$process" 2>/dev/null)" = "$1" ] && kill -KILL "\${process#/proc/}" 2>/dev/null || true
done
tries=0
until userdel -- "$1" 2>/dev/null || [ "$tries" -ge 20 ]; do tries=$((tries + 1)); sleep 0.1; done
if getent passwd "$1" >/dev/null; then userdel -- "$1"; fi
if getent group "$1" >/dev/null; then groupdel -- "$1"; fi`;

const REMOVE_BUT_DATA = `for home in "$1"/*; do
  find "$home" -mindepth 1 -maxdepth 1 ! -name shared -exec rm -rf --one-file-system -- {} +
  rmdir -- "$home/shared" "$home" 2>/dev/null || true
done`;

function agentLast(one: string, other: string): number {
  return Number(one === AGENT_USER) - Number(other === AGENT_USER);
}

function root(kind: Kind, says: string, script: string, args: string[]): Act {
  return { kind, says, do: { by: 'root', script: `set -eu\n${script}`, args, timeoutMs: 5 * 60_000 } };
}
