/** The scripts that a service's unit starts, as root has put them there: plain sh, and started as the service's own user. */
import { HALT_LOOKS_EVERY_MS } from './recipe.ts';

export const LAUNCH = `#!/bin/sh
# Made by fleet. launch RECIPE: becomes the program that the agent wrote down, with exactly the environment that it wrote down.
# No value is ever evaluated here: each is read, decoded, and handed on.
set -eu
fleet_recipe=$1

fleet_decode() {
  fleet_value=\${1#=}
  case $fleet_value in
    *\\\\*) fleet_value=$(printf '%b.' "$fleet_value") fleet_value=\${fleet_value%.} ;;
  esac
}

set --
fleet_whole=no fleet_notify=no
while IFS=' ' read -r fleet_word fleet_text fleet_name; do
  case $fleet_word in
    directory) fleet_decode "$fleet_text"; cd "$fleet_value" ;;
    notify) fleet_notify=yes ;;
    argument) fleet_decode "$fleet_text"; set -- "$@" "$fleet_value" ;;
    end) fleet_whole=yes ;;
  esac
done <"$fleet_recipe"
[ $fleet_whole = yes ] || { echo "$fleet_recipe is not whole" >&2; exit 78; }

# Said before it becomes the program, which may know of no such thing.
if [ -n "\${NOTIFY_SOCKET:-}" ] && [ $fleet_notify = no ]; then systemd-notify --ready; fi

# What systemd and this shell have put there goes, but for what the program needs to say READY.
for fleet_name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
  case $fleet_notify.$fleet_name in
    yes.NOTIFY_SOCKET | yes.WATCHDOG_*) ;;
    *) unset "$fleet_name" ;;
  esac
done
while IFS=' ' read -r fleet_word fleet_text fleet_name; do
  [ "$fleet_word" = variable ] || continue
  fleet_decode "$fleet_text"
  export "$fleet_name=$fleet_value"
done <"$fleet_recipe"
exec "$@"
`;

export const HALT = `#!/bin/sh
# Made by fleet. halt HALTING: asks the process group of a service to end, and waits as long as it has. Systemd kills what is left.
set -u
[ -n "\${MAINPID:-}" ] || exit 0
signal=TERM looks=200
[ ! -r "$1" ] || read -r signal looks <"$1"
case $signal in TERM | INT | QUIT | HUP) ;; *) signal=TERM ;; esac
case $looks in '' | *[!0-9]*) looks=200 ;; esac
kill -s "$signal" -- "-$MAINPID" 2>/dev/null || exit 0
while [ "$looks" -gt 0 ] && kill -s 0 -- "-$MAINPID" 2>/dev/null; do
  sleep ${HALT_LOOKS_EVERY_MS / 1000}
  looks=$((looks - 1))
done
`;
