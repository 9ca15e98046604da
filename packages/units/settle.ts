/**
 * What the agent's unit runs before it starts the agent, and after it has ended: plain sh, because it has to work where the
 * agent or its Node does not. It runs as the agent's user, to whom the links belong.
 *
 * Notes in ROOT/fleet-agent/run, each with the versions of agent and Node in its first line:
 *
 *     proven   what last had its hello answered: written by the agent
 *     tried    what was started without having proven itself, in which boot; below that, how it ended
 *     failed   the same, once it was taken back; removed by the agent when something is tried anew
 */

/** Names of the notes, and how a line of versions is written. */
export const NOTES = { proven: 'proven', tried: 'tried', failed: 'failed' } as const;
export const versionsLine = (agent: string, node: string) => `${agent} ${node}`;

export const SETTLE = `#!/bin/sh
# Made by fleet. settle begin ROOT, settle ended ROOT: a release of the agent that was started once and never reached the
# controller gives way to the last one that did.
set -u
root=$2
notes=$root/fleet-agent/run

version() { basename "$(readlink "$root/$1/current")"; }
first() { head -n 1 "$notes/$1" 2>/dev/null; }

back() {
  [ -d "$root/$1/releases/$2" ] || return 1
  ln -sfn "releases/$2" "$root/$1/.current-back" && mv -fT "$root/$1/.current-back" "$root/$1/current" && sync "$root/$1"
}

now="$(version fleet-agent) $(version fleet-node)"
proven=$(first proven)
# Nothing to go back to, or nothing to go back from.
[ -n "$proven" ] && [ "$now" != "$proven" ] || exit 0

case $1 in
begin)
  if [ "$(first tried)" = "$now" ]; then
    echo "$now did not reach the controller: back to $proven"
    back fleet-node "\${proven#* }"
    back fleet-agent "\${proven% *}"
    mv -f "$notes/tried" "$notes/failed"
  else
    echo "trying $now; $proven is kept"
    { echo "$now"; cat /proc/sys/kernel/random/boot_id; } >"$notes/tried.tmp" && sync "$notes/tried.tmp"
    mv -f "$notes/tried.tmp" "$notes/tried"
  fi
  sync "$notes"
  ;;
ended)
  [ "$(first tried)" = "$now" ] || exit 0
  echo "\${SERVICE_RESULT:-} \${EXIT_CODE:-} \${EXIT_STATUS:-}" >>"$notes/tried"
  ;;
esac
`;
