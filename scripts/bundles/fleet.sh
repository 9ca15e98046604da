#!/bin/sh
# fleet, with the Node that came with it. May be linked to from anywhere.
self=$(readlink -f "$0")
here=${self%/*}
exec "$here/bin/node" "$here/lib/fleet.js" "$@"
