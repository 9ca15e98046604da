#!/usr/bin/env bash
# A serial deployment with rsync and ssh, as good as a script can reasonably be: it is what fleet is measured against.
#
#   rsync-deploy.sh SETTINGS RELEASE VERSION
#
# RELEASE is a folder that is ready to run. SETTINGS is a file of bash:
#   ssh_config=/path      for `ssh -F`; connections are shared (ControlMaster), so that each command is one round trip
#   haproxy=127.0.0.1/99  HOST/PORT of HAProxy's runtime socket
#   backend=web           the group of hosts in HAProxy; a server is called like its host
#   hosts=(a b c)         in the order in which they are deployed
#   declare -A root=([a]=/srv/web ...) port=([a]=8080 ...)
#   program=(node server.mjs)
#
# First every host gets the release, in parallel; unchanged files are links into the one that runs. Then each host is
# hidden, drained, switched, restarted, asked for its version, and shown again, and each act at the balancer is read back.
set -euo pipefail
# shellcheck source=/dev/null
source "$1"
release=$2
version=$3

# Asks HAProxy one thing, with nothing started for it. Sets $answer.
ask() {
  exec 3<>"/dev/tcp/$haproxy"
  printf '%s\n' "$1" >&3
  IFS= read -r -d '' answer <&3 || true
  exec 3>&-
}

# What HAProxy says of a server: sets $status, $sessions, and $others, the number of other servers that are up.
look() {
  ask "show stat $backend 4 -1"
  status='' sessions='' others=0
  while IFS=, read -r -a row; do
    if [ "${row[1]:-}" = "$1" ]; then
      sessions=${row[4]} status=${row[17]}
    elif [ "${row[17]:-}" = UP ]; then
      others=$((others + 1))
    fi
  done <<<"$answer"
}

tell() {
  ask "set server $backend/$1 state $2"
  [ -z "${answer//[[:space:]]/}" ] || fail "$1: HAProxy says: $answer"
}

# until_is HOST STATUS: waits until HAProxy itself says so. `UP 1/3` is not UP: no check has passed yet.
until_is() {
  for ((tries = 0; tries < 6000; tries++)); do
    look "$1"
    [ "$status" = "$2" ] && return
    sleep 0.005
  done
  fail "$1: HAProxy says $status, not $2"
}

drained() {
  for ((tries = 0; tries < 3000; tries++)); do
    look "$1"
    [ "$sessions" = 0 ] && return
    sleep 0.01
  done
}

stage() {
  rsync --archive --mkpath --link-dest="${root[$1]}/current/" --rsh="ssh -F $ssh_config" \
    "$release/" "$1:${root[$1]}/releases/.$version/"
}

# Switch, restart and smoke test in one round trip.
restart() {
  ssh -F "$ssh_config" "$1" bash -s -- "${root[$1]}" "$version" "${port[$1]}" "${program[@]}" <<'REMOTE'
set -euo pipefail
root=$1 version=$2 port=$3
shift 3
cd "$root"
mv -T "releases/.$version" "releases/$version"
ln -s "releases/$version" current.new
mv -T current.new current

# A process that ended and waits for init to notice it, which some take seconds for, does not run.
runs() {
  read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" && [ "$state" != Z ]
}
if [ -f pid ]; then
  pid=$(<pid)
  kill "$pid" 2>/dev/null || true
  for ((tries = 0; tries < 1000; tries++)); do
    runs "$pid" || break
    sleep 0.005
  done
  ! runs "$pid" || kill -9 "$pid"
fi
cd current
PORT=$port setsid "$@" >>"$root/log" 2>&1 </dev/null &
echo $! >"$root/pid"

for ((tries = 0; tries < 1000; tries++)); do
  answer=$(curl --silent --fail --max-time 2 "http://127.0.0.1:$port/") || answer=
  [[ $answer == *"$version"* ]] && exit 0
  sleep 0.01
done
echo "$version does not answer on port $port; it answers: $answer" >&2
exit 1
REMOTE
}

fail() {
  echo "rsync-deploy: $*" >&2
  exit 1
}

staging=()
for host in "${hosts[@]}"; do
  stage "$host" &
  staging+=($!)
done
for pid in "${staging[@]}"; do wait "$pid" || fail "not every host has $version: nothing was touched"; done

for host in "${hosts[@]}"; do
  look "$host"
  [ "$others" -ge 1 ] || [ "$status" != UP ] || fail "$host is the last one that is up"
  tell "$host" drain
  look "$host"
  [[ $status == DRAIN* || $status == DOWN* ]] || fail "$host: HAProxy says $status after drain"
  drained "$host"
  tell "$host" maint
  until_is "$host" MAINT
  restart "$host" || fail "$host stays hidden: $version is not well there"
  tell "$host" ready
  until_is "$host" UP
  echo "$host: $version"
done
